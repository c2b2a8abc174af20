"""The SDK of Slack: forms and JSON, paging by cursor."""

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from compat import main


def program(base, key, direct):
    client = WebClient(token=key, base_url=base + "/api/")
    try:
        client.conversations_info(channel="C404")
        missing = ""
    except SlackApiError as e:
        missing = e.response["error"]
    return {
        "posted": client.chat_postMessage(channel="C1", text="so & so")["message"]["text"],
        "channels": [c["name"] for page in client.conversations_list(limit=1) for c in page["channels"]],
        "missing": missing,
    }


main(program)
