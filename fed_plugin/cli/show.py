"""``show ranking``: what a dump's method ranks first, and which parts brought it there."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's words."""
    parser.add_argument("dump", metavar="DUMP.npz", help="a file that `dump` wrote")
    parser.add_argument(
        "--folder", required=True, metavar="DIR", help="below it lie the dump's images"
    )
    parser.add_argument("--queries", type=int, default=6, metavar="N", help="default: 6")
    parser.add_argument("--top", type=int, default=6, metavar="K", help="default: 6")
    parser.add_argument(
        "--worst", action="store_true", help="the queries with the lowest average precision"
    )
    parser.add_argument(
        "--out", default="ranking.png", metavar="FILE", help=".png or .html; default: %(default)s"
    )


def run(args: argparse.Namespace) -> None:
    """Rank, choose queries, draw.

    Raises:
        FileNotFoundError: no such dump, or an image that is not below ``--folder``.
        ValueError: the file is neither ``.png`` nor ``.html``, or a number is below 1.
    """
    from fed_plugin.retrieval.distances import cosine_distance, unit_rows
    from fed_plugin.retrieval.feature_dump import FeatureDump
    from fed_plugin.retrieval.first_ranked import first_ranked
    from fed_plugin.retrieval.part_matching import part_contributions
    from fed_plugin.retrieval.ranking import rank
    from fed_plugin.retrieval.whole_files import check_apart
    from fed_plugin.visualization import Answers, match_sheet
    from fed_plugin.visualization.picture_file import check_kind

    check_kind(args.out, "--out")
    check_apart(args.out, [args.dump])
    if args.queries < 1 or args.top < 1:
        raise ValueError("--queries and --top: expected 1 or more")
    dump = FeatureDump.load(args.dump)
    query, gallery = dump.query, dump.gallery
    distances = cosine_distance(dump.features[query], dump.features[gallery])
    labels = [x[rows] for x in (dump.pids, dump.camids) for rows in (query, gallery)]
    ranked = rank(distances, *labels)
    order = ranked.valid_queries
    if args.worst:
        order = order[np.argsort(ranked.average_precisions, kind="stable")]
    asked = order[: args.queries]
    chosen = query[asked]
    q_pids, g_pids, q_camids, g_camids = labels
    found = first_ranked(
        distances[asked], q_pids[asked], g_pids, q_camids[asked], g_camids, args.top
    )
    answered = np.isfinite(found.distances).all(axis=0)  # the camera rule may leave fewer than top
    rows, right = gallery[found.places[:, answered]], found.matches[:, answered]  # (Q, K)
    unit = unit_rows(dump.features.astype(np.float32))
    contributions = []
    if dump.visibility is not None:
        parts = dump.visibility.shape[1]
        contributions = [
            part_contributions(unit[row][None], unit[of], parts)[0]
            for row, of in zip(chosen, rows, strict=True)
        ]
    photo = _reader(dump, Path(args.folder))
    answers = Answers(
        np.stack([[photo(row) for row in of] for of in rows]),
        np.einsum("qd,qkd->qk", unit[chosen], unit[rows]),
        None if dump.visibility is None else dump.visibility[rows],
        np.stack(contributions) if contributions else None,
        [["✓ same person" if x else "✗ another" for x in of] for of in right],
    )
    sheet = match_sheet(
        np.stack([photo(row) for row in chosen]),
        None if dump.visibility is None else dump.visibility[chosen],
        answers,
        args.out,
        [str(dump.names[row]) for row in chosen],
        title=f"{dump.about.get('method', Path(args.dump).stem)}: what is ranked first, and why",
    )
    print(f"{sheet}: {len(chosen)} queries, {right[:, 0].sum()} of them right at rank 1")


def _reader(dump: Any, folder: Path) -> Any:
    """Return a function from a row of the dump to its picture."""
    import cv2

    from fed_plugin.transforms.decoding import read_rgb

    if not folder.is_dir():
        raise FileNotFoundError(f"--folder {folder}: no such folder; expected the data set's")
    files: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        files.setdefault(path.name, []).append(path)

    def read(row: int) -> NDArray[np.uint8]:
        name, split = str(dump.names[row]), str(dump.split[row])
        found = [x for x in files.get(Path(name).name, []) if x.as_posix().endswith(name)]
        if not found:
            raise FileNotFoundError(
                f"{name}: not below --folder {folder}; expected the data set that was dumped"
            )
        # one name may stand in both splits; the folder's name tells them apart
        found.sort(key=lambda path: split not in path.parent.name)
        height, width = 192, 96
        return cv2.resize(read_rgb(found[0]), (width, height), interpolation=cv2.INTER_AREA)

    return read
