"""Files of safetensors with a changed header: the structure stays readable, so that deeper code is reached."""

import json
import struct
from random import Random

from fuzz.mutate import mutated_bytes, mutated_json


def mutated_file(data: bytes, draws: Random) -> bytes:
    """A file with changed facts, a changed header, or changed bytes."""
    kind = draws.randrange(4)
    if kind == 0:
        return mutated_bytes(data, draws)
    (size,) = struct.unpack("<Q", data[:8])
    header, rest = json.loads(data[8 : 8 + size]), data[8 + size :]
    if kind == 1:
        header = mutated_json(header, draws)
    else:
        facts = mutated_json(json.loads(header["__metadata__"]["facts"]), draws)
        header["__metadata__"]["facts"] = json.dumps(facts)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + rest
