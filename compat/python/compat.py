"""What the programs beside this file share: they read where to go from standard
input and print what came of it as JSON. Neither holds a key but that input."""

import json
import sys


def main(program):
    given = json.load(sys.stdin)
    json.dump(program(given["base"], given["key"], given["direct"]), sys.stdout)
