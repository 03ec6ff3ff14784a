"""Mends of loading images: data sets, files, items, loaders without CUDA, and samplers."""

from __future__ import annotations

import contextlib
import functools
import linecache
import logging
import numbers
import os
import queue
import re
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

from fed_plugin.fastreid_adapter.mends.mending import (
    Call,
    Overlay,
    Step,
    add_step,
    cuda_is_available,
    mend,
    mentions,
    replace,
)

logger = logging.getLogger("fastreid.compat")


@mend("Images are not read as RGB", after="fastreid.data.data_utils")
def images_are_read_as_rgb(module: ModuleType) -> bool:
    """Let ``read_image`` return mode RGB for every file, with the same bits where it did already.

    ``fed_plugin.photos`` says what a photo is, and how other pixels become RGB.
    """

    def read_rgb_image(file_name: str, format: Any = None) -> Any:
        from PIL import Image

        from fed_plugin.photos import read_rgb

        if "://" not in str(file_name):
            return Image.fromarray(read_rgb(file_name))
        with module.PathManager.open(file_name, "rb") as file:
            return Image.fromarray(read_rgb(file))

    def as_rgb(call: Call) -> Iterator[None]:
        from fed_plugin.photos import open_photo

        if call.argument("format") is None:
            call.function = read_rgb_image
        elif "://" not in str(call.argument("file_name")):
            with open_photo(call.argument("file_name")):  # refuses what is no photo
                pass
        yield

    reads_palettes = _reads_palettes(module.read_image)
    return not reads_palettes and add_step(module, "read_image", as_rgb)


def _reads_palettes(read_image: Any) -> bool:
    """Return whether a reader gives the pixel of a palette image its colour."""
    import tempfile

    from PIL import Image

    image = Image.new("P", (1, 1))
    image.putpalette((10, 20, 30))
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "palette.png")
            image.save(path)
            return read_image(path).getpixel((0, 0)) == (10, 20, 30)
    except OSError:  # nowhere to write
        return False


@mend("An unreadable image is not named", after="fastreid.data.data_utils")
def unreadable_image_names_its_file(module: ModuleType) -> bool:
    """Let ``read_image`` raise one sentence with the path."""

    def name(call: Call) -> Iterator[None]:
        path = call.argument("file_name")
        yield
        if isinstance(call.error, Exception):
            # Most errors of a whole file repeat its path; their name says as much.
            kind, text = type(call.error).__name__, str(call.error)
            why = text if str(path) not in text else kind
            call.error = RuntimeError(f"cannot read image {path}: {why}")

    known = mentions(module.read_image, "cannot read image")
    return not known and add_step(module, "read_image", name)


@mend("An image that a transform fails on is not named", after="fastreid.data.common")
def failing_transform_names_its_file(module: ModuleType) -> bool:
    """Let ``CommDataset`` name the file of an item that cannot be prepared."""

    def name(call: Call) -> Iterator[None]:
        dataset, index = call.args
        yield
        if isinstance(call.error, Exception):
            path = str(dataset.img_items[index][0])
            if path not in str(call.error):
                why = f"{type(call.error).__name__}: {call.error}"
                call.error = RuntimeError(f"cannot prepare image {path}: {why}")

    known = mentions(module.CommDataset.__getitem__, "cannot prepare image")
    return not known and add_step(module.CommDataset, "__getitem__", name)


# Loaders that work without CUDA and lose no error.

TEST_WORKERS = 4


def worker_context() -> str | None:
    """Return the start method for loader workers; None leaves the choice to PyTorch.

    In a rank that ``mp.spawn`` started, workers would be spawned, too, and would import PyTorch for
    every evaluation. Without CUDA the workers can be forked, as they are outside of ranks.
    """
    import multiprocessing

    in_a_rank = multiprocessing.parent_process() is not None
    spawning = multiprocessing.get_start_method(allow_none=True) == "spawn"
    return "fork" if in_a_rank and spawning and sys.platform == "linux" else None


def _plain(stock: type) -> type:
    """Derive a loader from the host's ``DataLoaderX`` that is PyTorch's own."""
    from torch.utils.data import DataLoader

    class DataLoaderX(stock):  # type: ignore[misc, valid-type]
        """Load batches with PyTorch's loader alone: no CUDA stream, no reading thread."""

        def __init__(self, local_rank: int, **kwargs: Any) -> None:
            kwargs["pin_memory"] = False
            if kwargs.get("num_workers"):
                kwargs.setdefault("multiprocessing_context", worker_context())
            DataLoader.__init__(self, **kwargs)
            self.local_rank = local_rank
            self.iter = iter(())

        def __iter__(self) -> Any:
            self.iter = DataLoader.__iter__(self)
            return self if self.num_workers else self.iter  # without workers: a frame less

        def __next__(self) -> Any:
            try:
                return next(self.iter)
            except BaseException as error:
                if not isinstance(error, StopIteration):
                    self.shutdown()
                raise

        def shutdown(self) -> None:
            """Stop the workers of the running iteration."""
            running, self.iter = self.iter, iter(())
            _stop_workers(running)

    return DataLoaderX


def _stop_workers(iteration: Any) -> None:
    """Stop the workers of an iteration now; a garbage collection waits 5 seconds for each."""
    if hasattr(iteration, "_shutdown_workers"):
        iteration._shutdown_workers()


@mend("Loading data needs CUDA", after="fastreid.data.data_utils")
def loader_works_without_cuda(module: ModuleType) -> bool:
    """Replace ``DataLoaderX`` by a plain loader where there is no CUDA."""
    if cuda_is_available() or not mentions(module.DataLoaderX.__init__, "cuda"):
        return False
    replace(module, "DataLoaderX", _plain(module.DataLoaderX))
    return True


def _loses_errors(reader: type) -> bool:
    """Return whether an error in the reading thread never reaches the consumer."""

    def broken() -> Any:
        raise OSError("a probe")
        yield

    handed_over: queue.Queue[Any] = queue.Queue()
    probe = SimpleNamespace(
        generator=broken(), local_rank=-1, queue=handed_over, exit_event=threading.Event()
    )
    try:  # rank -1: CUDA is left alone
        reader.run(probe)  # type: ignore[attr-defined]
    except OSError:
        return True
    return False


@mend("An error in the loader's thread hangs the run", after="fastreid.data.data_utils")
def reading_thread_hands_errors_over(module: ModuleType) -> bool:
    """Let ``BackgroundGenerator`` raise the error of its thread at the next batch."""
    reader = module.BackgroundGenerator
    if not _loses_errors(reader):
        return False
    stock_run, stock_next = reader.run, reader.next

    def run(self: Any) -> None:
        """Read ahead; keep an error for the consumer and end the stream."""
        try:
            stock_run(self)
        except Exception as error:
            self.error = error
            _stop_workers(self.generator)
            self.queue.put(None)

    def next_item(self: Any) -> Any:
        """Return the next batch, or raise what stopped the thread."""
        try:
            return stock_next(self)
        except StopIteration:
            error = getattr(self, "error", None)
            if error is None or self.exit_event.is_set():
                raise
        raise error

    reader.run, reader.next = run, next_item
    return True


@mend("A loader without shared memory hangs the run", after="fastreid.data.data_utils")
def full_memory_ends_the_run(module: ModuleType) -> bool:
    """Let workers hand over the error of a batch that they cannot hand over."""

    def start_so(call: Call) -> Iterator[None]:
        if call.kwargs.get("num_workers"):
            start = functools.partial(start_worker, call.kwargs.get("worker_init_fn"))
            call.kwargs = {**call.kwargs, "worker_init_fn": start}
        yield

    return add_step(module.DataLoaderX, "__init__", start_so)


def start_worker(stock: Callable[[int], None] | None, worker: int) -> None:
    """Let the queue of this worker hand over its errors; the stock one prints them."""
    from multiprocessing.queues import Queue

    Queue._on_queue_feeder_error = _hand_over  # type: ignore[attr-defined]
    if stock is not None:
        stock(worker)


def _hand_over(batches: Any, error: Exception, batch: Any) -> None:
    from torch._utils import ExceptionWrapper

    reason = WorkerError(
        f"a loader worker could not hand over a batch: {error}; expected room in shared memory "
        "(/dev/shm) and open files to spare; try fewer DATALOADER.NUM_WORKERS, or more memory, "
        "such as docker run --shm-size 8g"
    )
    batches.put((batch[0], ExceptionWrapper((WorkerError, reason, None))))


class WorkerError(RuntimeError):
    """Error of a loader worker; PyTorch raises it once more, with a preface that is dropped."""

    def __init__(self, message: str) -> None:
        super().__init__(message.rpartition("WorkerError: ")[2].strip())


@mend("The test loader always takes four workers", after="fastreid.data.build")
def test_loader_takes_the_configured_workers(module: ModuleType) -> bool:
    """Load test images with ``DATALOADER.NUM_WORKERS`` workers, 4 at most."""
    from_config = module._test_loader_from_config
    if mentions(from_config, "num_workers"):
        return False

    def take_configured(call: Call) -> Iterator[None]:
        if call.cfg is not None:
            workers = min(TEST_WORKERS, call.cfg.DATALOADER.NUM_WORKERS)
            explicit = from_config(*call.args, **call.kwargs)
            call.args, call.kwargs = (), {"num_workers": workers, **explicit}
        yield

    return add_step(module, "build_reid_test_loader", take_configured)


# Batches that an identity sampler cannot fill are refused.


def _batch_of(sampler: str, mini_batch_size: int, num_instances: int) -> tuple[int, str]:
    """Return the number of ranks and the beginning of the messages about a sampler."""
    from fastreid.utils import comm

    ranks = comm.get_world_size()
    share = f" on each of {ranks} ranks" if ranks > 1 else ""
    return ranks, (
        f"DATALOADER.SAMPLER_TRAIN={sampler} can never fill a batch: SOLVER.IMS_PER_BATCH="
        f"{mini_batch_size * ranks} is {mini_batch_size} images{share}, "
        f"DATALOADER.NUM_INSTANCE={num_instances}"
    )


def check_naive_identity_sampler(
    data_source: Any, mini_batch_size: int, num_instances: int, *rest: Any, **more: Any
) -> None:
    """Refuse a batch that `NaiveIdentitySampler` cannot fill."""
    ranks, what = _batch_of("NaiveIdentitySampler", mini_batch_size, num_instances)
    _check_multiple(what, mini_batch_size, num_instances)
    wanted = mini_batch_size // num_instances
    images = Counter(item[1] for item in data_source)
    # An identity with fewer images than NUM_INSTANCE is drawn with repetition, once in a round.
    draws = sum(min(ranks, max(1, count // num_instances)) for count in images.values())
    if len(images) < wanted or draws < wanted * ranks:
        raise ValueError(
            f"{what}, which takes {wanted} identities per rank; got {len(images)} identities with "
            f"{sum(images.values())} images; try a smaller SOLVER.IMS_PER_BATCH"
        )


def check_balanced_identity_sampler(
    data_source: Any, mini_batch_size: int, num_instances: int, *rest: Any, **more: Any
) -> None:
    """Refuse a batch that `BalancedIdentitySampler` cannot fill."""
    ranks, what = _batch_of("BalancedIdentitySampler", mini_batch_size, num_instances)
    if mini_batch_size < num_instances:
        _check_multiple(what, mini_batch_size, num_instances)
    _check_multiple(what, mini_batch_size * ranks, num_instances)
    identities = len({item[1] for item in data_source})
    per_round = mini_batch_size // num_instances * ranks
    wanted = mini_batch_size * ranks // num_instances
    if identities - identities % per_round < wanted:
        raise ValueError(
            f"{what}, which takes {wanted} identities; got {identities}; try a smaller "
            "SOLVER.IMS_PER_BATCH"
        )


def check_set_reweight_sampler(
    data_source: Any, mini_batch_size: int, num_instances: int, set_weight: Any, **more: Any
) -> None:
    """Refuse a batch that `SetReWeightSampler` cannot fill."""
    ranks, what = _batch_of("SetReWeightSampler", mini_batch_size, num_instances)
    cameras = len({item[2] for item in data_source})
    drawn = sum(list(set_weight)[:cameras]) * num_instances
    if drawn != mini_batch_size * ranks:
        raise ValueError(
            f"{what}; it yields rounds of exactly one batch, and DATALOADER.SET_WEIGHT="
            f"{list(set_weight)} makes rounds of {drawn} images for {cameras} cameras; try "
            "NaiveIdentitySampler"
        )


def _check_multiple(what: str, images: int, num_instances: int) -> None:
    if images < 1 or num_instances < 1 or images % num_instances:
        raise ValueError(
            f"{what}; expected a multiple of DATALOADER.NUM_INSTANCE on every rank; try "
            "SOLVER.IMS_PER_BATCH = ranks x identities x DATALOADER.NUM_INSTANCE"
        )


def _accepts_anything(sampler: type) -> bool:
    """Return whether a sampler can be built for three images of one identity, two by two."""
    try:
        sampler([("a", 0, 0)] * 3, 3, 2, seed=0)
    except ValueError:
        return False
    return True


@mend(
    "Samplers wait for ever for batches that they cannot fill",
    after="fastreid.data.samplers.triplet_sampler",
)
def samplers_refuse_batches_they_cannot_fill(module: ModuleType) -> bool:
    """Check the batch against the training set when an identity sampler is built."""
    if not _accepts_anything(module.NaiveIdentitySampler):
        return False

    def before(check: Callable[..., None]) -> Step:
        def check_first(call: Call) -> Iterator[None]:
            check(*call.args[1:], **call.kwargs)
            yield

        return check_first

    add_step(module.NaiveIdentitySampler, "__init__", before(check_naive_identity_sampler))
    add_step(module.BalancedIdentitySampler, "__init__", before(check_balanced_identity_sampler))
    add_step(module.SetReWeightSampler, "__init__", before(check_set_reweight_sampler))
    return True


# Data sets: how the host reads names, draws lists, and treats files that show nobody.


def _on_every_data_set(package: ModuleType, function: Callable[[type], object]) -> None:
    """Call a function with every registered data set, and with those that are registered later."""

    def every_data_set(call: Call) -> Iterator[None]:
        yield
        if call.error is None:
            function(call.args[-1])

    every_data_set.__qualname__ = function.__qualname__
    for data_set in list(package.DATASET_REGISTRY._obj_map.values()):
        function(data_set)
    add_step(package.DATASET_REGISTRY, "_do_register", every_data_set)


class _NoIdentityError(AssertionError):
    """Name of a file that does not fit the pattern of its data set."""


class _NamePattern:
    """Regular expression for the base name of a path."""

    def __init__(self, pattern: str) -> None:
        self.pattern = re.compile(pattern)

    def search(self, path: str) -> Any:
        """Search the base name; an empty group, of a name without a number, is no match."""
        match = self.pattern.search(os.path.basename(path))
        if match is None or "" in match.groups():
            raise _NoIdentityError(
                f"{path}: expected a file name with an identity, after the pattern "
                f"{self.pattern.pattern}, got none; try moving the file elsewhere"
            )
        return match


HOST_PROJECTS = ("fastreid", "partialreid", "fastattr")
"""Packages whose data sets match a pattern for base names against whole paths."""


@mend("File names are read together with their folders", after="fastreid.data.datasets")
def folders_are_no_part_of_a_name(module: ModuleType) -> bool:
    """Match the patterns of Market-1501, DukeMTMC, VeRi, CUHK-SYSU, PartialReID with base names.

    A data set is mended if its module searches what ``glob`` lists without taking base names.
    """
    mended = []

    def match_base_names(data_set: type) -> None:
        home = sys.modules.get(data_set.__module__)
        if home is None or home.__name__.partition(".")[0] not in HOST_PROJECTS:
            return
        functions = [*vars(home).values(), *vars(data_set).values()]
        searches = [f for f in functions if mentions(f, "search") and mentions(f, "glob")]
        if vars(home).get("re") is re and searches and not mentions(searches[0], "basename"):
            home.re = Overlay(re, compile=_NamePattern)  # type: ignore[attr-defined]
            mended.append(home)

    _on_every_data_set(module, match_base_names)
    return bool(mended)


def _is_junk(pid: Any) -> bool:
    """Return whether an identity is -1, also behind the name of a data set, as in training."""
    from fed_plugin.identities import JUNK_PID, NOBODY, canonical  # imports NumPy

    if isinstance(pid, str):
        return canonical(pid.rpartition("_")[2]) == NOBODY
    return isinstance(pid, numbers.Real) and pid == JUNK_PID


def _people_of(name: str, split: str, items: Any) -> Any:
    """Return the items that show people; junk among queries is refused."""
    junk = [item[0] for item in items if _is_junk(item[1])]
    if not junk:
        return items
    if split == "query":
        raise ValueError(
            f"{name}: {len(junk)} of {len(items)} queries have identity -1, which shows "
            f"nobody, first {junk[0]}: expected people; try leaving these files out"
        )
    logger.info(
        "%s: %d detections of nobody (identity -1) are left out of %s, such as %s",
        *(name, len(junk), split, junk[0]),
    )
    return [item for item in items if not _is_junk(item[1])]


_WORDLESS = (AssertionError, LookupError, ValueError)  # such as KeyError: '0000042'


def _in_words(name: str, error: Exception) -> Exception:
    """Return an error that says what a wordless error of a data set expects, and of what file.

    Other errors than assertions get words if a line of the host, or of its projects, raises them.
    """
    if isinstance(error, _NoIdentityError):
        return ValueError(f"{name}: {error}")
    frames = list(traceback.walk_tb(error.__traceback__))
    if not frames or (isinstance(error, AssertionError) and str(error)):
        return error
    frame, line = frames[-1]
    home = str(frame.f_globals.get("__name__")).partition(".")[0]
    if not isinstance(error, AssertionError) and home not in HOST_PROJECTS:
        return error
    text = linecache.getline(frame.f_code.co_filename, line).partition("#")[0].strip()
    known = {word: frame.f_locals.get(word) for word in re.findall(r"\w+", text)}
    got = [f"{type(error).__name__}: {error}"] if str(error) else []
    got += [f"{word} = {value!r:.60}" for word, value in known.items() if _is_short(value)]
    got += [f"len({word}) = {len(value)}" for word, value in known.items() if _is_long(value)]
    expected = text.removeprefix("assert ") if text.startswith("assert ") else f"what {text} reads"
    files = ("line", "img_path", "path", "list_path", "dir_path")
    file = next((frame.f_locals[word] for word in files if word in frame.f_locals), "its files")
    return ValueError(
        f"{name}: {str(file).strip()}: expected {expected}, got "
        f"{', '.join(got) or 'something else'}; try moving the file elsewhere, or the name of "
        "another data set in DATASETS.NAMES or DATASETS.TESTS"
    )


def _is_short(value: Any) -> bool:
    return isinstance(value, (str, numbers.Real))


def _is_long(value: Any) -> bool:
    return isinstance(value, (list, tuple, dict, set))


while_listing: Callable[[Any], contextlib.AbstractContextManager[None]] = contextlib.nullcontext
"""Context in which a data set lists its images; ``loaders`` puts the seed here."""


def _lists(stock: property, split: str) -> property:
    """Return the property of a data set's split, without junk, drawn under the seed."""
    private, done = f"_{split}", f"_fed_{split}"

    def people(self: Any) -> Any:
        given = vars(self).get(private)
        if given is not None and given is vars(self).get(done):
            return given
        try:
            with while_listing(self):
                items = stock.fget(self)  # type: ignore[misc]
        except _WORDLESS as error:
            raise _in_words(type(self).__name__, error) from error
        items = _people_of(type(self).__name__, split, items)
        vars(self).update({private: items, done: items})
        return items

    return property(people, doc=stock.__doc__)


@mend(
    "Data sets draw other lists in every process, and take junk for a person",
    after="fastreid.data.datasets",
)
def data_sets_list_people_under_the_seed(module: ModuleType) -> bool:
    """Construct every data set under the seed of the run; leave identity -1 out of its lists.

    A wordless assertion of a data set gets words.
    """
    base = module.bases.Dataset
    if not base([], [], [("probe.jpg", -1, 0)]).gallery:
        return False
    for split in ("train", "query", "gallery"):
        setattr(base, split, _lists(vars(base)[split], split))

    def construct(call: Call) -> Iterator[None]:
        with while_listing(call.args[0]):
            yield
        if isinstance(call.error, _WORDLESS):
            call.error = _in_words(type(call.args[0]).__name__, call.error)

    def construct_under_the_seed(data_set: type) -> None:
        add_step(data_set, "__init__", construct)

    _on_every_data_set(module, construct_under_the_seed)
    return True
