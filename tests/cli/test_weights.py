"""The commands about weight files."""

from __future__ import annotations

import hashlib
import http.server
import json
import threading

import pytest
import torch

from fed_plugin.cli import main, weights
from fed_plugin.modeling import VIT_PRESETS, TokenViT


@pytest.fixture
def tiny(tmp_path):
    """A file of the ViT of synthocc_vit_tiny."""
    from fed_plugin.fastreid_adapter.backbone import backbone_to_fill

    model, _ = backbone_to_fill("synthocc_vit_tiny")
    torch.save(model.state_dict(), tmp_path / "tiny.pth")
    return tmp_path / "tiny.pth"


def test_inspect_describes_a_file(tiny, capsys):
    assert main(["weights", "inspect", str(tiny)]) == 0
    about = json.loads(capsys.readouterr().out)
    assert about["layout"] == "ViT of timm" and about["tensors"] > 50


def test_inspect_for_a_config_lists_every_tensor(tiny, capsys):
    assert main(["weights", "inspect", str(tiny), "--for", "synthocc_vit_tiny"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert list(content["counts"]) == ["loaded"] and content["rows"]
    assert main(["weights", "inspect", str(tiny), "--for", "synthocc_vit_tiny", "--table"]) == 0
    assert "blocks.*.attn.qkv.weight" in capsys.readouterr().out


def test_inspect_for_a_config_ends_with_1_where_the_file_does_not_fit(tmp_path, capsys):
    other = TokenViT((64, 32), VIT_PRESETS["tiny"], stride=(16, 16)).state_dict()
    del other["norm.bias"]
    torch.save(other, tmp_path / "other.pth")
    words = ["weights", "inspect", str(tmp_path / "other.pth"), "--for", "synthocc_vit_tiny"]
    assert main([*words, *()]) == 1
    error = capsys.readouterr().err
    assert "missing" in error or "grid fits" in error


def test_inspect_names_a_missing_file(capsys):
    assert main(["weights", "inspect", "gone.pth"]) == 1
    assert "gone.pth" in capsys.readouterr().err


def test_list_shows_models_recipes_and_addresses(capsys):
    assert main(["weights", "list"]) == 0
    out = capsys.readouterr().out
    assert (
        "personvit_s" in out and "solider_swin" in out and "Apache-2.0" in out
    ) or "apache" in out
    assert main(["weights", "list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert set(rows) == set(weights.PUBLISHED)
    assert rows["clip_b"]["timm"].endswith(".openai") and rows["vit_b_augreg2"]["million"] == 85.8
    assert not rows["solider_b"]["url"] and rows["solider_b"]["page"].startswith("https://")


@pytest.fixture
def server(tmp_path, monkeypatch):
    content = b"weights" * 1000

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def known(checksum, port=server.server_port):
        facts = {"url": f"http://127.0.0.1:{port}/x.pth", "sha256": checksum, "page": ""}
        monkeypatch.setattr(weights, "facts", lambda published: facts)

    yield known, hashlib.sha256(content).hexdigest()
    server.shutdown()


def test_fetch_checks_what_it_writes(server, tmp_path, capsys):
    known, digest = server
    known(digest[:8])
    out = tmp_path / "deep" / "x.pth"
    assert main(["weights", "fetch", "deit_b", "--out", str(out)]) == 0
    assert f"sha256 {digest} (checked)" in capsys.readouterr().out
    assert hashlib.sha256(out.read_bytes()).hexdigest() == digest
    assert main(["weights", "fetch", "deit_b", "--out", str(out)]) == 1
    assert "exists already" in capsys.readouterr().err


def test_fetch_writes_nothing_with_another_checksum(server, tmp_path, capsys):
    known, _ = server
    known("0" * 8)
    assert main(["weights", "fetch", "deit_b", "--out", str(tmp_path / "x.pth")]) == 1
    assert "expected 00000000" in capsys.readouterr().err
    assert not list(tmp_path.glob("*x.pth*"))


def test_fetch_says_that_it_needs_the_network(server, tmp_path, capsys):
    known, _ = server
    known("", port=9)
    assert main(["weights", "fetch", "deit_b", "--out", str(tmp_path / "x.pth")]) == 1
    error = capsys.readouterr().err
    assert "weights fetch deit_b needs the network" in error and "Traceback" not in error
    assert not (tmp_path / "x.pth").exists()


def test_fetch_says_where_files_without_an_address_are(tmp_path, capsys):
    assert main(["weights", "fetch", "solider_b", "--out", str(tmp_path / "x.pth")]) == 1
    assert "https://github.com/tinyvision/SOLIDER" in capsys.readouterr().err
