#!/usr/bin/env bash
# Whose key is a call made with? The same as main.go beside it, with bctrl. It
# wants the server's address and key in BCTRL_BASE_URL and BCTRL_API_KEY, and
# five keys in the environment, from where they go through pipes: on a command
# line every process could read them. This brings all of it:
#
#   go run ./examples/broker -script
set -euo pipefail

chat=openai/chat-completions

step() { printf '\n%s\n' "$*"; }

# ask calls OpenAI in the context that its arguments name, and says who pays.
ask() {
  local answer
  answer=$(bctrl invoke "$chat" "$@" --body '{"model": "gpt-5.2", "messages": [{"role": "user", "content": "Who pays?"}]}')
  printf '  %-52s %s\n' "${*:-(global)}" "$(sed 's/.*"content":"\([^"]*\)".*/\1/' <<<"$answer")"
}

# store reads a secret from standard input, and prints its id.
store() { bctrl secrets create "$@" --output id; }

step "Store a key in three scopes"
bctrl workspace create my-workspace --capability github/ --output name
company=$(printf '%s' "$COMPANY_KEY" | store --name OPENAI_API_KEY --scope global)
printf '%s' "$WORKSPACE_KEY" | store --name OPENAI_API_KEY --scope workspace --workspace-id my-workspace >/dev/null
printf '%s' "$GROUP_KEY" | store --name OPENAI_API_KEY --scope group --workspace-id my-workspace --group-id my-group >/dev/null
bctrl secrets list

step "Call OpenAI: the most specific scope answers"
ask --workspace-id my-workspace --group-id my-group
ask --workspace-id my-workspace --group-id another-group
ask --workspace-id my-workspace
ask

step "Attach a partner's key to a group, and detach it"
bctrl workspace create partner --output name
partner=$(printf '%s' "$PARTNER_KEY" | store --name OPENAI_API_KEY --workspace-id partner)
bctrl secrets attach-group --id "$partner" --workspace-id my-workspace --group-id guests >/dev/null
ask --workspace-id my-workspace --group-id guests
bctrl secrets detach-group --id "$partner" --workspace-id my-workspace --group-id guests >/dev/null
ask --workspace-id my-workspace --group-id guests

step "Make a credential for one workspace by hand"
bctrl workspace create staging --output name
bctrl credential create my-openai-staging --provider openai --secret-ref "vault:secret:$company" --workspace-id staging --output id
ask --workspace-id staging

step "Bind a capability to another secret"
research=$(printf '%s' "$RESEARCH_KEY" | store --name RESEARCH_KEY --workspace-id my-workspace)
bctrl capability bind --capability "$chat" --secret-ref "vault:secret:$research" --scope workspace --workspace-id my-workspace \
  --consumer research --output capability,consumer
ask --workspace-id my-workspace --consumer research
ask --workspace-id my-workspace

step "Let a runtime call less than its workspace"
printf '%s' "$COMPANY_KEY" | store --name GITHUB_TOKEN --scope global >/dev/null
bctrl runtime launch my-workspace/triage --capability github/issues --output alias
token=$(bctrl token mint my-workspace/triage)
BCTRL_API_KEY=$token bctrl json github/issues --path /repos/acme/site/issues
if BCTRL_API_KEY=$token bctrl invoke github/repos --method DELETE --path /repos/acme/site; then
  echo "this should have been refused" >&2
  exit 1
fi
bctrl runtime stop my-workspace/triage >/dev/null

step "Read what the log has of this"
bctrl audit verify
bctrl audit tail --action capability.invoke --output capability,credential,tier,host,path,outcome
