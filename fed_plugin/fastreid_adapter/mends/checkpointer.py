"""Mends of the host's ``Checkpointer``, and of the weights that its backbones start from."""

from __future__ import annotations

import errno
import io
import logging
import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from fed_plugin.arguments import UNTRAINED
from fed_plugin.fastreid_adapter.mends.mending import Call, Overlay, add_step, mend, mentions

logger = logging.getLogger("fastreid.compat")


@mend("A refused training has already written", after="fastreid.engine.defaults")
def setup_holds_the_folder(module: ModuleType) -> bool:
    """Let ``default_setup`` hold ``OUTPUT_DIR`` before it writes there, or refuse in every rank.

    The step is the first of the function and therefore the innermost: what another step refuses
    makes no folder.
    """

    def hold_first(call: Call) -> Iterator[None]:
        from fed_plugin.fastreid_adapter.ranks import free_folder, hold_folder

        folder = call.cfg.OUTPUT_DIR
        hold_folder(folder)
        yield
        if call.error is not None and folder:
            free_folder(folder)
            if isinstance(call.error, OSError) and call.error.errno:
                call.error.filename = call.error.filename or folder

    return add_step(module, "default_setup", hold_first)


@mend("Checkpoints are written in place", after="fastreid.utils.checkpoint")
def checkpoints_are_written_whole(module: ModuleType) -> bool:
    """Write checkpoints, and the name of the newest, beside their place; flush, then rename."""
    stock = module.PathManager
    if isinstance(stock, Overlay):
        return False

    def open_whole(path: str, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        if mode not in ("w", "wb") or "://" in str(path):
            return stock.open(path, mode, *args, **kwargs)
        from fed_plugin.fastreid_adapter.resuming.checkpoint_file import written_checkpoint

        return written_checkpoint(str(path), mode)

    module.PathManager = Overlay(stock, open=open_whole)
    return True


@mend("A broken newest checkpoint ends every resume", after="fastreid.utils.checkpoint")
def resume_passes_over_a_broken_checkpoint(module: ModuleType) -> bool:
    """Let ``--resume`` name a broken newest checkpoint, and use the checkpoint before."""

    def pass_over(call: Call) -> Iterator[None]:
        checkpointer = call.args[0]
        if not (call.argument("resume", True) and checkpointer.has_checkpoint()):
            yield
            return
        path, content = _newest_whole(checkpointer)
        checkpointer.resumed_from = path
        checkpointer._load_file = lambda f: content
        checkpointer.get_checkpoint_file = lambda: path
        yield
        del checkpointer._load_file, checkpointer.get_checkpoint_file
        if isinstance(call.error, _UNREADABLE):
            why = str(call.error) or type(call.error).__name__
            call.error = ValueError(
                f"{path}: not of a run with this config: {why}; try the config it was "
                "written with, another OUTPUT_DIR, or no --resume to start again"
            )

    return add_step(module.Checkpointer, "resume_or_load", pass_over)


def _newest_whole(checkpointer: Any) -> tuple[str, Any]:
    """Return path and content of the newest whole checkpoint, and log the broken ones."""
    from fed_plugin.fastreid_adapter.resuming.run_state import odd_value

    stateful = {k: v for k, v in checkpointer.checkpointables.items() if k != "run_state"}
    try:
        newest = checkpointer.get_checkpoint_file()
    except UnicodeDecodeError:  # the name of the newest is no text
        newest = os.path.join(checkpointer.save_dir, "last_checkpoint")
    files = _newest_first(checkpointer.save_dir)
    others = [file for file in files if os.path.abspath(file) != os.path.abspath(newest)]
    reasons = []
    for path in (newest, *others):
        try:
            why = damage(path)
            if not why:
                content = checkpointer._load_file(path)
                why = odd_value(content, stateful)
            if not why:
                return path, content
        except (OSError, ValueError, RuntimeError) as error:
            why = str(error)
        reasons.append(" ".join(why.split()))
        logger.warning("%s: not resumed from: %s", path, reasons[-1])
    raise ValueError(
        f"{checkpointer.save_dir}: none of its checkpoints can be resumed from, the newest is "
        f"{newest} ({reasons[0]}); expected a whole one; try another OUTPUT_DIR, or no --resume to "
        "start again"
    )


def damage(path: str) -> str:
    """Return why a file is no whole checkpoint; empty if nothing is wrong.

    The checksums of the archive are compared. PyTorch does not compare them, and would train on
    what a disk with lost bytes returns.
    """
    import zipfile  # which takes long to import, and every import of the host imports this module

    if not os.path.isfile(path):
        return "no such file"
    if not zipfile.is_zipfile(path):
        with open(path, "rb") as file:
            begin = file.read(262)
        old = begin[:1] == b"\x80" or begin[257:262] == b"ustar"  # a pickle, or a tar archive
        return "" if old else "not whole, or no checkpoint"
    try:
        with zipfile.ZipFile(path) as archive:
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
                return "it is compressed, which no checkpoint is"
            bad = archive.testzip()
    except Exception as error:  # zipfile raises a dozen kinds on noise
        return str(error) or type(error).__name__
    return f"{bad} in it is damaged" if bad else ""


def _newest_first(folder: str) -> list[str]:
    """List the checkpoints of a run, the last written first; those of the best epoch come last."""
    files = [path for path in Path(folder).glob("*.pth") if not path.name.startswith(".")]
    order = sorted(files, key=lambda p: (p.name != "model_best.pth", p.stat().st_mtime_ns))
    return [str(path) for path in reversed(order)]


# Files that are refused, or looked for in the wrong place.


def numpy_is_refused() -> bool:
    """Return whether ``torch.load`` refuses a NumPy scalar in a checkpoint."""
    import numpy as np
    import torch

    buffer = io.BytesIO()
    torch.save({"metric": np.float64(0.5)}, buffer)
    buffer.seek(0)
    try:
        torch.load(buffer)
    except pickle.UnpicklingError:
        return True
    return False


def numpy_globals() -> list[Any]:
    """List what NumPy scalars and arrays are rebuilt from, under the names of NumPy 1 and 2.

    These functions build numbers and nothing else. Objects inside an array need other names.
    """
    import numpy as np
    from numpy._core.multiarray import _reconstruct as reconstruct
    from numpy._core.multiarray import scalar

    known: list[Any] = [np.ndarray, np.dtype]
    for package in ("numpy.core", "numpy._core"):
        known.append((scalar, f"{package}.multiarray.scalar"))
        known.append((reconstruct, f"{package}.multiarray._reconstruct"))
    dtypes, kinds = getattr(np, "dtypes", None), ("Int", "UInt", "Float", "Bool")
    names = [name for name in getattr(dtypes, "__all__", ()) if name.startswith(kinds)]
    return [*known, *(getattr(dtypes, name) for name in names)]


@mend("Checkpoints with NumPy numbers are refused", after="fastreid.utils.checkpoint")
def checkpoints_may_hold_numpy(module: ModuleType) -> bool:
    """Let ``Checkpointer`` read tensors, numbers and other projects' models; execute nothing."""

    def read(call: Call) -> Iterator[None]:
        from fed_plugin.modeling.checkpoints import in_host_layout, is_fine_tuned
        from fed_plugin.modeling.weight_files import SAFETENSORS, read_weights

        def load_file(self: Any, f: str) -> Any:
            content = read_weights(f, numpy_globals())
            if isinstance(content, dict) and "model" not in content and is_fine_tuned(content):
                return {"model": in_host_layout(content, str(f), self.model)}
            return {"model": content} if str(f).endswith(SAFETENSORS) else content

        call.function = load_file
        yield

    return numpy_is_refused() and add_step(module.Checkpointer, "_load_file", read)


@mend("A file that is no checkpoint is not named", after="fastreid.utils.checkpoint")
def wrong_checkpoint_is_named(module: ModuleType) -> bool:
    """Let ``Checkpointer`` refuse a file that is no checkpoint in one sentence with its path."""

    def name(call: Call) -> Iterator[None]:
        path = call.argument("f")
        call.args[0].read_from = str(path)
        yield
        error = call.error
        cut_short = isinstance(error, OSError) and error.errno == errno.EINVAL
        if error is None:
            _check_content(call.result, path)
        elif cut_short or isinstance(error, _UNREADABLE):
            why = (str(error) or type(error).__name__).splitlines()[0]
            call.error = ValueError(
                f"MODEL.WEIGHTS or last_checkpoint names {path}: not a PyTorch checkpoint that can "
                f"be loaded safely ({why})"
            )

    return add_step(module.Checkpointer, "_load_file", name)


_UNREADABLE = (
    *(pickle.UnpicklingError, EOFError, RuntimeError, ValueError, TypeError, LookupError),
    *(AttributeError, ArithmeticError),
)


def _check_content(content: Any, path: str) -> None:
    if not isinstance(content, dict) or "model" not in content:
        raise ValueError(
            f"MODEL.WEIGHTS={path}: expected a checkpoint with a top-level 'model', as fast-reid "
            "writes it; try `fed-plugin convert` for one of the released FED code"
        )
    if not _is_state_dict(content["model"]):
        raise ValueError(
            f"MODEL.WEIGHTS={path}: its 'model' is no table of tensors by name; expected a "
            "state dict, as fast-reid writes it"
        )


def _is_state_dict(content: Any) -> bool:
    """Return whether an object maps names to tensors or arrays, and nothing else."""
    import numpy as np
    import torch

    return isinstance(content, dict) and all(
        isinstance(name, str) and isinstance(value, (torch.Tensor, np.ndarray))
        for name, value in content.items()
    )


@mend("Weights of another model are only logged", after="fastreid.utils.checkpoint")
def weights_fit_the_model(module: ModuleType) -> bool:
    """Let ``Checkpointer`` refuse weights of another model, which the host writes into the log."""

    def begin(call: Call) -> Iterator[None]:
        checkpointer = call.args[0]
        resumes = call.argument("resume", True) and checkpointer.has_checkpoint()
        checkpointer.begins_training = not resumes
        yield
        checkpointer.begins_training = False

    def fit(call: Call) -> Iterator[None]:
        from fed_plugin.modeling.checkpoints import misfit

        checkpointer = call.args[0]
        path = getattr(checkpointer, "read_from", "a checkpoint")
        begins = getattr(checkpointer, "begins_training", False)
        yield
        if call.error is None and call.result is not None:
            found = call.result
            why = misfit(
                checkpointer.model,
                found.missing_keys,
                found.unexpected_keys,
                [name for name, *_ in found.incorrect_shapes],
                begins_training=begins,
            )
            if why:
                call.error = ValueError(
                    f"MODEL.WEIGHTS={path}: not a checkpoint of this config's model: {why}; "
                    "expected a file that this config trained"
                )
            elif found.missing_keys and begins:
                names = len(found.missing_keys), found.missing_keys[0]
                logger.warning("MODEL.WEIGHTS=%s: lacks %d weights, first %s", path, *names)
        elif isinstance(call.error, _UNREADABLE):
            why = " ".join((str(call.error) or type(call.error).__name__).split())
            call.error = ValueError(f"{why:.800} (of {path})")

    add_step(module.Checkpointer, "resume_or_load", begin)
    return add_step(module.Checkpointer, "_load_model", fit)


@mend("An evaluation without weights ranks random ones", after="fastreid.engine.defaults")
def evaluation_names_its_weights(module: ModuleType) -> bool:
    """Refuse ``--eval-only`` without ``MODEL.WEIGHTS``; the word "untrained" takes random ones."""

    def refuse(call: Call) -> Iterator[None]:
        path = call.cfg.MODEL.WEIGHTS
        known = path == UNTRAINED or "://" in path or os.path.isfile(path)
        if getattr(call.argument("args"), "eval_only", False) and not known:
            raise ValueError(
                f"MODEL.WEIGHTS={path!r}: expected the file of a checkpoint for --eval-only; "
                f"try MODEL.WEIGHTS {UNTRAINED} for random weights"
            )
        yield

    def load_nothing(call: Call) -> Iterator[None]:
        if call.argument("path") == UNTRAINED:
            call.args, call.kwargs = (call.args[0], ""), {}
        yield

    add_step(module.Checkpointer, "load", load_nothing)
    return add_step(module, "default_setup", refuse)


@mend(
    "RegNet and EffNet look for their tables in the working directory",
    after=(
        "fastreid.modeling.backbones.regnet.regnet",
        "fastreid.modeling.backbones.regnet.effnet",
    ),
)
def backbone_tables_lie_beside_the_package(module: ModuleType) -> bool:
    """Open ``fastreid/modeling/...yaml`` beside the package unless the working directory has it."""
    kind = "regnet" if hasattr(module, "regnet_cfg") else "effnet"
    if not mentions(getattr(module, f"build_{kind}_backbone"), "'fastreid/modeling/"):
        return False
    cfg = getattr(module, f"{kind}_cfg")

    def merge_from_file(cfg_filename: str) -> None:
        cfg.merge_from_file(beside_the_package(cfg_filename))

    setattr(module, f"{kind}_cfg", Overlay(cfg, merge_from_file=merge_from_file))
    return True


def beside_the_package(path: str) -> str:
    """Return ``fastreid/...`` as a path beside the imported package, unless the path exists."""
    import fastreid

    if os.path.isabs(path) or os.path.exists(path):
        return path
    root = os.path.dirname(os.path.dirname(os.path.abspath(str(fastreid.__file__))))
    return os.path.join(root, path)


BACKBONES = (
    *("mobilenet", "mobilenetv3", "osnet", "regnet.effnet", "regnet.regnet", "repvgg", "resnest"),
    *("resnet", "resnext", "shufflenet", "vision_transformer"),
)


@mend(
    "Pretrained weights that cannot be read are not named",
    after=tuple(f"fastreid.modeling.backbones.{name}" for name in BACKBONES),
)
def pretrained_weights_execute_nothing(module: ModuleType) -> bool:
    """Let a backbone read tensors and ``.safetensors`` alone, or name the file."""
    if isinstance(module.torch, Overlay):
        return False
    module.torch = Overlay(module.torch, load=load_pretrained)
    return True


def load_pretrained(path: Any, map_location: Any = None, **_: Any) -> dict[str, Any]:
    """Read pretrained weights in the place of ``torch.load``; errors name the file."""
    from fed_plugin.modeling.weight_files import read_weights

    where = f"MODEL.BACKBONE.PRETRAIN_PATH or a download, {path}"
    try:
        content = read_weights(path)
    except ValueError as error:
        raise ValueError(f"{where}: not a PyTorch checkpoint of tensors ({error})") from error
    if not isinstance(content, dict):
        raise ValueError(f"{where}: holds a {type(content).__name__}, expected a state dict")
    return content


@mend("Pretrained weights do not say what was loaded", after="fastreid.modeling.backbones.build")
def pretrained_weights_are_counted(module: ModuleType) -> bool:
    """Log how many tensors of the file a backbone took; warn where it took none."""

    def count(call: Call) -> Iterator[None]:
        from torch.nn import Module

        backbone, stock = call.cfg.MODEL.BACKBONE, Module.load_state_dict
        if not backbone.PRETRAIN:
            yield
            return
        loads: list[tuple[int, Any]] = []

        def load_state_dict(self: Any, state_dict: Any, *args: Any, **kwargs: Any) -> Any:
            loads.append((len(state_dict), stock(self, state_dict, *args, **kwargs)))
            return loads[-1][1]

        Module.load_state_dict = load_state_dict  # type: ignore[method-assign]
        yield
        Module.load_state_dict = stock  # type: ignore[method-assign]
        for tensors, names in loads:
            missing = [name for name in names.missing_keys if "num_batches" not in name]
            loaded = tensors - len(names.unexpected_keys)
            logger.log(
                logging.INFO if loaded else logging.WARNING,
                "Pretrained weights of %s: %d of %d tensors loaded%s%s",
                *(backbone.PRETRAIN_PATH or "a download", loaded, tensors),
                _some("left out", names.unexpected_keys),
                _some("of the backbone stay random", missing),
            )

    return add_step(module, "build_backbone", count)


def _some(what: str, names: list[str]) -> str:
    more = ", ..." if len(names) > 3 else ""
    return f"; {len(names)} {what} ({', '.join(names[:3])}{more})" if names else ""
