"""The SDK of Anthropic."""

import anthropic

from compat import main


def program(base, key, direct):
    client = anthropic.Anthropic(api_key=key, base_url=base)

    def ask(model):
        return client.messages.create(model=model, max_tokens=64, messages=[{"role": "user", "content": "Hi"}]).content[0].text

    with client.messages.stream(model="plain", max_tokens=64, messages=[{"role": "user", "content": "Hi"}]) as stream:
        words = "".join(stream.text_stream)
    try:
        ask("unknown")
        refused = ""
    except anthropic.AuthenticationError as e:
        refused = e.body["error"]["type"]
    return {
        "message": ask("plain"),
        "limited": ask("limited"),
        "stream": words,
        "models": [model.id for model in client.models.list()],
        "refused": refused,
    }


main(program)
