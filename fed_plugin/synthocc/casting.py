"""Images of SynthOcc before drawing: sizes, cameras, identities and file names."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from fed_plugin.synthocc.figure import Camera
from fed_plugin.synthocc.identity import Identity, draw_identities, stream

# In the order of the numbers in file names. Three lines a camera: view, light, picture.
# fmt: off
CAMERAS: tuple[Camera, ...] = (
    Camera(scene="street", floor=0.66, pitch=0.12, path=0.0, fill=(0.86, 0.96),
           lamp=(-0.7, 0.8, 0.6), ambient=0.55, key=0.6, gain=(1.08, 1.0, 0.9),
           gamma=1.0, colour=1.0, haze=0.0, blur=0.45, noise=0.012, quality=92),
    Camera(scene="corridor", floor=0.68, pitch=0.22, path=0.0, fill=(0.88, 0.98),
           lamp=(0.0, 1.0, 0.3), ambient=0.7, key=0.3, gain=(0.74, 0.95, 0.74),
           gamma=1.05, colour=0.85, haze=0.08, blur=0.6, noise=0.022, quality=86),
    Camera(scene="park", floor=0.62, pitch=0.08, path=1.57, fill=(0.82, 0.93),
           lamp=(0.9, 0.35, 0.3), ambient=0.42, key=0.8, gain=(1.2, 0.9, 0.6),
           gamma=0.95, colour=1.05, haze=0.03, blur=0.5, noise=0.014, quality=90),
    Camera(scene="shops", floor=0.7, pitch=0.16, path=1.57, fill=(0.86, 0.96),
           lamp=(-0.3, 0.3, 0.9), ambient=0.5, key=0.55, gain=(0.72, 0.88, 1.22),
           gamma=0.95, colour=1.0, haze=0.0, blur=0.55, noise=0.016, quality=90),
    Camera(scene="garage", floor=0.64, pitch=0.28, path=0.6, fill=(0.84, 0.96),
           lamp=(0.5, 0.9, -0.2), ambient=0.5, key=0.5, gain=(1.12, 0.76, 0.38),
           gamma=0.95, colour=0.85, haze=0.05, blur=0.75, noise=0.022, quality=80),
    Camera(scene="plaza", floor=0.58, pitch=0.3, path=0.8, fill=(0.8, 0.92),
           lamp=(0.2, 1.0, 0.5), ambient=0.75, key=0.3, gain=(1.06, 1.18, 1.35),
           gamma=1.1, colour=0.7, haze=0.14, blur=0.6, noise=0.012, quality=88),
)
# fmt: on


TRAIN, QUERY, GALLERY = "bounding_box_train", "query", "bounding_box_test"
SPLITS = (TRAIN, QUERY, GALLERY)


@dataclass(frozen=True)
class Size:
    """Numbers of identities, of images of each identity, and of cameras.

    Each of ``test_ids`` has occluded ``queries`` and whole ``gallery`` images; ``extra_ids`` are in
    the gallery alone.
    """

    train_ids: int
    train_images: int
    test_ids: int
    queries: int
    gallery: int
    extra_ids: int
    extra_images: int
    cameras: int

    @property
    def images(self) -> int:
        """Number of all images."""
        train, extra = self.train_ids * self.train_images, self.extra_ids * self.extra_images
        return train + self.test_ids * (self.queries + self.gallery) + extra


SIZES: dict[str, Size] = {
    "tiny": Size(8, 8, 6, 1, 3, 2, 2, cameras=3),
    "small": Size(64, 14, 48, 4, 5, 24, 2, cameras=len(CAMERAS)),
    "medium": Size(300, 16, 200, 3, 8, 200, 2, cameras=len(CAMERAS)),
}


@dataclass(frozen=True)
class Shot:
    """Image of a split to draw, by identity (from 1) and camera (from 0), with its file name.

    ``index`` is the number among the identity's images of the split. ``cover`` is "" for a whole
    person, "object" or "person" for an occluder.
    """

    split: str
    pid: int
    camid: int
    index: int
    cover: str
    name: str


def plan(size: Size, seed: int) -> list[Shot]:
    """List every image, in a fixed order; the seed decides which cameras see each person."""
    first_test = size.train_ids + 1
    first_extra = first_test + size.test_ids
    wanted = [(TRAIN, first, size.train_images) for first in range(1, first_test)]
    wanted += [(QUERY, pid, size.queries) for pid in range(first_test, first_extra)]
    wanted += [(GALLERY, pid, size.gallery) for pid in range(first_test, first_extra)]
    last = first_extra + size.extra_ids
    wanted += [(GALLERY, pid, size.extra_images) for pid in range(first_extra, last)]
    shots: list[Shot] = []
    for split, pid, count in wanted:
        rng = stream(seed, "route", pid)
        cameras = int(rng.integers(min(4, size.cameras), size.cameras + 1))
        seen_by = rng.permutation(size.cameras)[:cameras].tolist()
        for index in range(count):
            # Queries start at the second camera, so that query and gallery mix cameras.
            turn = index if split != QUERY else index + 1
            camid = seen_by[turn % len(seen_by)]
            cover = ("person" if (pid + 2 * index) % 5 < 2 else "object") if split == QUERY else ""
            name = f"{pid:04d}_c{camid + 1}s1_{len(shots) + 1:06d}_00.jpg"
            shots.append(Shot(split, pid, camid, index, cover, name))
    return shots


@lru_cache(maxsize=4)
def cast(size: Size, seed: int) -> dict[int, Identity]:
    """Return the person of each pid; training, test and extra people share no family."""
    groups = [("train", size.train_ids), ("test", size.test_ids), ("extra", size.extra_ids)]
    people = [who for group, count in groups for who in draw_identities(seed, group, count)]
    return dict(enumerate(people, start=1))


def passers_by(size: Size, seed: int) -> list[Identity]:
    """Return the people who may walk in front of a person: people in the gallery alone."""
    first = size.train_ids + size.test_ids + 1
    return [who for pid, who in cast(size, seed).items() if pid >= first]
