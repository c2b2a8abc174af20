"""browser-use in a runtime: its browser is the runtime's, its model is asked through
the server with the runtime's token, and its login tool has the server fill."""

import asyncio
import json
import sys

import httpx
from browser_use import Agent, Browser, ChatOpenAI, Tools

given = json.load(sys.stdin)
tools = Tools()


@tools.action("Fill a login from the vault into the form. Elements are given by their accessible name.")
async def fill_login(key: str, username: str = "", password: str = "", code: str = "") -> str:
    fields = {"username": username, "password": password, "totp": code}
    args = {"key": key, **{field: {"role": "textbox", "name": name} for field, name in fields.items() if name}}
    async with httpx.AsyncClient(headers={"Authorization": "Bearer " + given["token"]}, timeout=60) as client:
        step = {"call": "page.fill", "args": args}
        answer = await client.post(given["execute"], json={"runtime": given["runtime"], "steps": [step]})
    step = answer.raise_for_status().json()["steps"][0]
    return f"filled {step['result']['filled']}" if "error" not in step else "not filled: " + step["error"]["code"]


async def main():
    agent = Agent(
        task=f"Log in at {given['site']} with prod/crm/salesforce and export the Q1 pipeline.",
        llm=ChatOpenAI(model="scripted-1", base_url=given["model"], api_key=given["token"]),
        browser=Browser(cdp_url=given["connect"]),
        tools=tools,
        use_judge=False,
    )
    history = await agent.run(max_steps=15)
    json.dump({"done": history.is_done(), "success": history.is_successful(), "said": history.final_result(),
               "errors": [e for e in history.errors() if e], "steps": history.number_of_steps()}, sys.stdout)


asyncio.run(main())
