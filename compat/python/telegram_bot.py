"""python-telegram-bot, which puts its key into the path."""

import asyncio

from telegram import Bot
from telegram.error import BadRequest

from compat import main


async def talk(base, key):
    async with Bot(key, base_url=base + "/bot", base_file_url=base + "/file/bot") as bot:
        sent = await bot.send_message(chat_id=1, text="so & so")
        try:
            await bot.send_message(chat_id=404, text="x")
            missing = ""
        except BadRequest as e:
            missing = e.message
        return {"me": bot.username, "sent": sent.text, "missing": missing}


main(lambda base, key, direct: asyncio.run(talk(base, key)))
