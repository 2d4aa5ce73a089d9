from __future__ import annotations

from pathlib import Path

import pytest

from clipsearch.errors import SettingsError
from clipsearch.settings import DEFAULT_MODEL, Settings, check_collection_name, shown_address


def test_an_option_beats_the_environment_beats_the_file_beats_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Settings.load().collection == "main"
    Path("clipsearch.toml").write_text('collection = "from-file"\nmodel = "starter"\n')
    assert Settings.load().collection == "from-file"
    monkeypatch.setenv("CLIPSEARCH_COLLECTION", "from-environment")
    settings = Settings.load()
    assert settings.collection == "from-environment"
    assert settings.origins["collection"] == "CLIPSEARCH_COLLECTION"
    assert settings.origins["model"] == "clipsearch.toml"
    settings = Settings.load(collection="from-option")
    assert (settings.collection, settings.origins["collection"]) == ("from-option", "--collection")
    assert settings.origins["device"] == "default"


def test_the_default_model_is_for_real_pictures() -> None:
    assert Settings.load().model == DEFAULT_MODEL == "google/siglip2-base-patch32-256"


def test_a_relative_folder_in_the_file_is_beside_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CLIPSEARCH_DATA")
    config = tmp_path / "clipsearch.toml"
    config.write_text('data = "vectors"\n')
    assert Settings.load(config=config).data == tmp_path / "vectors"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("colection = 'a'\n", "unknown setting 'colection'"),
        ("collection = \n", "not valid TOML"),
        ("collection = 3\n", "must be text"),
        ("device = 'abacus'\n", "not one of auto, cpu, cuda, mps"),
        ("url = 'localhost:6333'\n", "not a server's address"),
    ],
)
def test_a_wrong_settings_file_says_what_and_where(tmp_path: Path, content: str, says: str) -> None:
    config = tmp_path / "clipsearch.toml"
    config.write_text(content)
    with pytest.raises(SettingsError, match=says):
        Settings.load(config=config)


def test_a_named_settings_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no settings file"):
        Settings.load(config=tmp_path / "nowhere.toml")


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "x" * 65, "部品", "a b", "-x"])
def test_a_collection_name_that_could_leave_its_folder_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="collection name"):
        check_collection_name(name)


def test_the_api_key_is_never_in_the_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QDRANT_API_KEY", "s3cret")
    settings = Settings.load()
    assert settings.api_key == "s3cret"
    assert "s3cret" not in repr(settings)


def test_a_server_run_keeps_its_files_apart_from_the_embedded_ones(tmp_path: Path) -> None:
    here = Settings.load(data=tmp_path)
    there = Settings.load(data=tmp_path, url="http://127.0.0.1:6333")
    assert here.collection_dir("a") == tmp_path / "collections" / "a"
    assert there.collection_dir("a") == tmp_path / "servers" / "127.0.0.1_6333" / "a"


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(SettingsError, match="unknown setting 'colour'"):
        Settings.load(colour="red")


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_each_system_has_its_own_folders(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CLIPSEARCH_DATA", "CLIPSEARCH_CACHE"):
        monkeypatch.delenv(name)
    monkeypatch.setattr("sys.platform", platform)
    settings = Settings.load()
    assert settings.data != settings.cache
    assert "clipsearch" in settings.data.parts


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:secret@qdrant.example:6333/x?api_key=k", "https://qdrant.example:6333/x"),
        ("http://127.0.0.1:6333", "http://127.0.0.1:6333"),
        ("http://[::1]:6333", "http://[::1]:6333"),
    ],
)
def test_an_address_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert shown_address(url) == shown
