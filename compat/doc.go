// Package compat proves that programs written for a provider work through the
// server unchanged. Its tests run the providers' real SDKs against local
// upstreams that speak the real wire formats and check authentication
// themselves: the provider's key arrives, and nothing of ours does. SDKs of Go
// run in three ways with the same expectations:
//
//   - directly, with the provider's key: what the program does without us;
//   - with its base URL pointed at /v1/proxy/{target} and a runtime token where
//     the SDK puts its key;
//   - with what Capabilities.HTTPClient returns as the SDK's HTTP client.
//
// SDKs of Python and JavaScript run in the first two, in small programs in
// python/ and js/ that read where to go and their key from standard input and
// print what came of it: openai, anthropic, PyGithub, Octokit, python-gitlab,
// gitbeaker, boto3 and the S3 client of AWS, stripe, slack_sdk and
// @slack/web-api, the REST client of discord.js, python-telegram-bot. An AI
// credential is called by its id and by its provider, also one for a server of
// one's own. scripts/install-sdks installs what they need.
//
// Clients of browsers drive a runtime by its connect URL, beside an agent, as
// they drive a Chromium of their own: Rod, Playwright and Puppeteer.
//
// Libraries of agents, browser-use and Stagehand, work in a runtime without a key and
// without a value: their browser is the runtime's, their model is asked through the
// server with the runtime's token, and the server fills their logins.
//
// An agent works on applications that are nobody's demo, Django's admin behind
// django-two-factor-auth and PocketBase: it logs in from the vault, creates,
// edits, searches, exports and logs out, with a scripted model.
//
// It is a module of its own so that nobody who uses bctrl gets these SDKs.
package compat
