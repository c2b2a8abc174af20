"""The SDK of OpenAI, at OpenAI, at a server of one's own and at Google."""

import openai

from compat import main


def program(base, key, direct):
    client = openai.OpenAI(api_key=key, base_url=base)
    hi = [{"role": "user", "content": "Hi"}]
    words = client.chat.completions.create(model="plain", messages=hi, stream=True)
    try:
        client.chat.completions.create(model="unknown", messages=hi)
        refused = ""
    except openai.AuthenticationError as e:
        refused = e.code
    try:
        client.chat.completions.create(model="elsewhere", messages=hi)
        redirected = False
    except openai.APIError:
        redirected = True
    return {
        "chat": client.chat.completions.create(model="plain", messages=hi).choices[0].message.content,
        "limited": client.chat.completions.create(model="limited", messages=hi).choices[0].message.content,
        "stream": "".join(word.choices[0].delta.content for word in words),
        "models": [model.id for model in client.models.list()],
        "embedding": client.embeddings.create(model="plain", input="Hi", encoding_format="float").data[0].embedding,
        "refused": refused,
        "redirected": redirected,
    }


main(program)
