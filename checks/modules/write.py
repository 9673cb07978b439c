"""Writes the files of a JSON object {path: text} below a directory; JSON in them for people to read."""

import json
import os
import sys

for path, text in json.load(sys.stdin).items():
    path = os.path.join(sys.argv[1], path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if path.endswith(".json"):
        text = json.dumps(json.loads(text), indent=2, ensure_ascii=False) + "\n"
    with open(path, "w") as file:
        file.write(text)
