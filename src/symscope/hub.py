"""Networks, alignments and results as folders, and on the Hugging Face hub.

A folder holds `config.json`, `model.safetensors` and a card `README.md`. The only file that imports `huggingface_hub`,
and only when a repository is read or written. Reading a folder never imports code that a file names.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import symscope
from symscope.alignment import Alignment, AlignmentFunction, Results, save_alignments
from symscope.alignment._files import ALIGNMENTS, RESULTS
from symscope.arguments import FilePath
from symscope.card import card_text
from symscope.errors import CheckpointError, HubError, ImportPathError, InvalidArgumentError
from symscope.files import write_text
from symscope.loading import load
from symscope.networks import Network
from symscope.training import read_facts, save_network

CONFIG, MODEL, CARD = FILES = ("config.json", "model.safetensors", "README.md")
LIBRARY = "symscope"
NETWORK = "network"
MAX_CONFIG_BYTES = 10**6
Shareable = Network | Results | Mapping[str, Alignment]


def save_pretrained(
    content: Shareable, folder: FilePath, *, network: Network | None = None, site: str | None = None
) -> Path:
    """Writes a network, results or alignments to a folder: `config.json`, `model.safetensors` and a card `README.md`.

    Args:
        content: the network; or `Results`; or alignments by name.
        folder: the folder; it is created if necessary, and these three files in it are replaced.
        network: for alignments: the network that they were found in. Results know their network.
        site: for alignments: where in the network; default: its `default_site`.

    Returns:
        The folder.

    Raises:
        InvalidArgumentError: the content is none of the three, or is empty.
    """
    folder = Path(folder)
    if isinstance(content, Network):
        save_network(folder / MODEL, content)
    elif isinstance(content, Results):
        content.save(folder / MODEL)
    elif isinstance(content, Mapping) and content and all(isinstance(a, Alignment) for a in content.values()):
        save_alignments(folder / MODEL, content, network=network, site=site)
    else:
        raise InvalidArgumentError(
            f"a network, results, or a dictionary of alignments can be saved, got {type(content).__name__}"
            + ("" if content else " without entries")
        )
    config = _config(folder / MODEL)
    write_text(folder / CONFIG, json.dumps(config, indent=2, sort_keys=True) + "\n")
    write_text(folder / CARD, card_text(content, config, folder.resolve().name))
    return folder


def from_pretrained(
    name: FilePath,
    *,
    network: Network | None = None,
    classes: Sequence[type[AlignmentFunction]] = (),
    revision: str | None = None,
) -> Network | Results | dict[str, Alignment]:
    """Reads what `save_pretrained` or `push_to_hub` wrote. Nothing that a file names is imported.

    Args:
        name: a folder, or a repository of the hub, `user/name`.
        network: as in `load`: a network for the weights; or, for results and alignments, the network that they were
            found in, whose identity (architecture, weights, site) is checked.
        classes: the user's own alignment functions that the file may hold.
        revision: branch, tag or commit of the repository; default: its main branch.

    Raises:
        CheckpointError: a file is missing or damaged, holds something else, or results of another network.
        InvalidArgumentError: the name is neither a folder nor a repository.
        HubError: the hub cannot be reached, or has no such repository or revision.
        ImportPathError: `huggingface_hub` is not installed.
    """
    folder = Path(name)
    if not folder.is_dir():
        folder = _download(str(name), revision)
    config = _read_config(folder / CONFIG)
    kind = read_facts(folder / MODEL).get("kind")
    if config.get("kind") != kind:
        raise CheckpointError(
            f"{folder / CONFIG} says that {MODEL} holds {config.get('kind')!r}, but it holds {kind!r}; save it again"
        )
    return load(folder / MODEL, network=network, classes=classes)


def push_to_hub(
    content: Shareable,
    repository: str,
    *,
    network: Network | None = None,
    site: str | None = None,
    private: bool = False,
    message: str | None = None,
) -> str:
    """Uploads a network, results or alignments to a repository of the Hugging Face hub, which is created if necessary.

    Log in first: `hf auth login`, or set HF_TOKEN.

    Args:
        content: as in `save_pretrained`.
        repository: the repository, `user/name`.
        network: as in `save_pretrained`.
        site: as in `save_pretrained`.
        private: whether a new repository is private.
        message: message of the commit.

    Returns:
        The URL of the commit.

    Raises:
        InvalidArgumentError: the content or the name of the repository is not valid.
        HubError: the hub cannot be reached, or refuses the upload.
        ImportPathError: `huggingface_hub` is not installed.
    """
    _check_repository(repository)
    hub = _huggingface_hub()
    with TemporaryDirectory() as temporary:
        folder = save_pretrained(content, Path(temporary) / repository.partition("/")[2], network=network, site=site)
        try:
            api = hub.HfApi(library_name=LIBRARY, library_version=symscope.__version__)
            api.create_repo(repository, private=private, exist_ok=True)
            commit = api.upload_folder(
                repo_id=repository,
                folder_path=folder,
                allow_patterns=list(FILES),
                commit_message=message or "Upload with symscope",
            )
        except _errors_of(hub) as error:
            raise HubError(f"{repository} could not be written: {_first_line(error)}") from error
    return str(commit.commit_url)


def _config(model: Path) -> dict[str, Any]:
    """The content of `config.json`: what the file holds, in words that a person can read."""
    facts = read_facts(model)
    kind = facts["kind"]
    config = {"library_name": LIBRARY, "symscope_version": symscope.__version__, "kind": kind}
    if kind == RESULTS:
        names = ("hypothesis", "variable", "site", "k", "network")
        return {**config, RESULTS: [{name: entry[name] for name in names} for entry in facts[RESULTS]]}
    if kind == ALIGNMENTS:
        return {**config, **{name: facts[name] for name in ("names", "network", "site") if name in facts}}
    return {**config, "architecture": facts["architecture"], "config": facts["config"]}


def _read_config(path: Path) -> Mapping[str, Any]:
    try:
        if path.stat().st_size > MAX_CONFIG_BYTES:
            raise CheckpointError(f"{path} has more than {MAX_CONFIG_BYTES:,} bytes, so symscope did not write it")
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(f"{path.parent} holds no {CONFIG}: it was not written by save_pretrained") from error
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is damaged ({error})") from error
    if not isinstance(config, Mapping) or config.get("library_name") != LIBRARY:
        raise CheckpointError(f"{path} was not written by symscope: its library_name is not {LIBRARY!r}")
    return config


def _download(name: str, revision: str | None) -> Path:
    """A local copy of the files of a repository."""
    _check_repository(name)
    hub = _huggingface_hub()
    try:
        return Path(hub.snapshot_download(name, revision=revision, allow_patterns=list(FILES), library_name=LIBRARY))
    except _errors_of(hub) as error:
        raise HubError(f"{name} could not be read from the hub: {_first_line(error)}") from error


def _check_repository(name: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", name, re.ASCII):
        raise InvalidArgumentError(f"{name!r} is neither a folder nor a repository of the hub, 'user/name'")


def _huggingface_hub() -> Any:
    try:
        import huggingface_hub  # noqa: PLC0415  (an optional dependency)
    except ImportError as error:
        raise ImportPathError(f"huggingface_hub is not installed ({error}): pip install 'symscope[hf]'") from error
    return huggingface_hub


def _errors_of(hub: Any) -> tuple[type[Exception], ...]:
    """The errors of a repository, of the connection, and of the disk."""
    http = hub.errors.HfHubHTTPError.__mro__[1]  # the base class of its HTTP library, whose name depends on the version
    return (OSError, ValueError, http, hub.errors.RevisionResolutionError)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
