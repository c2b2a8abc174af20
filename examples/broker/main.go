// Command broker shows whose key a call to a provider is made with, and that
// the caller never holds it:
//
//	go run ./examples/broker            # as a program, with the SDK
//	go run ./examples/broker -script    # as broker.sh beside it, with bctrl
//
// Everything runs in this process: stage.go starts a server with a temporary
// data directory, and what stands in for OpenAI and GitHub. The function program
// is what a program of your own would look like.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/examples/internal/ending"
)

func main() {
	script := flag.Bool("script", false, "run broker.sh in place of the program")
	flag.Parse()
	ctx, stop := ending.Context()
	what := program
	if *script {
		what = runScript
	}
	err := run(ctx, os.Stdout, what)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "broker:", err)
		os.Exit(1)
	}
}

// run sets the stage, runs what is to be seen on it and clears it away.
func run(ctx context.Context, out io.Writer, what func(context.Context, *stage) error) (err error) {
	s, err := openStage(ctx, out)
	if err == nil {
		err = what(ctx, s)
	}
	if err == nil {
		err = s.conclude()
	}
	return errors.Join(err, s.close())
}

// chat is the capability that is called. Its provider, OpenAI, is one of the
// registry: where it is and how it wants its key is known.
const chat = "openai/chat-completions"

func program(ctx context.Context, s *stage) error {
	client, err := bctrl.New(bctrl.WithBaseURL(s.url), bctrl.WithAPIKey(s.key))
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	p := &play{stage: s, client: client}
	for _, act := range []func(context.Context) error{p.scopes, p.attach, p.credential, p.bind, p.narrow, p.audit} {
		if err := act(ctx); err != nil {
			return err
		}
	}
	return nil
}

// play is the program's state from act to act.
type play struct {
	*stage
	client *bctrl.Client
	global *bctrl.SecretInfo
	site   *bctrl.Workspace
}

// scopes stores a key three times under one name: for everybody, for a
// workspace, for a group of it.
func (p *play) scopes(ctx context.Context) (err error) {
	p.heading("Store a key in three scopes")
	if p.site, err = p.client.Workspaces.Create(ctx, bctrl.WorkspaceCreate{
		Name: "my-workspace", Mounts: bctrl.Mounts{Capabilities: &bctrl.CapabilityMount{Allow: []string{"github/"}}},
	}); err != nil {
		return err
	}
	for _, of := range []struct {
		account string
		scope   bctrl.Scope
	}{
		{"company", bctrl.Global()},
		{"workspace", bctrl.InWorkspace("my-workspace")},
		{"group", bctrl.InGroup("my-workspace", "my-group")},
	} {
		secret, err := p.store(ctx, "OPENAI_API_KEY", of.account, of.scope)
		if err != nil {
			return err
		}
		if p.global == nil {
			p.global = secret
		}
	}
	p.note("The name says whose keys these are: each made a credential for OpenAI in its scope.")

	p.heading("Call OpenAI: the most specific scope answers")
	for _, in := range []bctrl.Scope{
		bctrl.InGroup("my-workspace", "my-group"), bctrl.InGroup("my-workspace", "another-group"),
		bctrl.InWorkspace("my-workspace"), bctrl.Global(),
	} {
		if err := p.call(ctx, in); err != nil {
			return err
		}
	}
	return nil
}

// attach makes a secret visible in a group that is not in its scope.
func (p *play) attach(ctx context.Context) error {
	p.heading("Attach a partner's key to a group")
	if _, err := p.client.Workspaces.Create(ctx, bctrl.WorkspaceCreate{Name: "partner"}); err != nil {
		return err
	}
	secret, err := p.store(ctx, "OPENAI_API_KEY", "partner", bctrl.InWorkspace("partner"))
	if err != nil {
		return err
	}
	guests := bctrl.InGroup("my-workspace", "guests")
	if _, err := p.client.Secrets.AttachGroup(ctx, secret.ID, "my-workspace", "guests"); err != nil {
		return err
	}
	if err := p.call(ctx, guests); err != nil {
		return err
	}
	if _, err := p.client.Secrets.DetachGroup(ctx, secret.ID, "my-workspace", "guests"); err != nil {
		return err
	}
	p.note("Detached, the group falls back to its workspace:")
	return p.call(ctx, guests)
}

// credential makes one by hand, for a workspace that has no key of its own.
func (p *play) credential(ctx context.Context) error {
	p.heading("Make a credential for one workspace by hand")
	if _, err := p.client.Workspaces.Create(ctx, bctrl.WorkspaceCreate{Name: "staging"}); err != nil {
		return err
	}
	if _, err := p.client.Credentials.Create(ctx, bctrl.CredentialCreate{
		ID:        "my-openai-staging",
		Provider:  "openai",
		SecretRef: "vault:secret:" + p.global.ID,
		Scope:     bctrl.InWorkspace("staging"),
	}); err != nil {
		return err
	}
	return p.call(ctx, bctrl.InWorkspace("staging"))
}

// bind puts another secret in place of a credential's own.
func (p *play) bind(ctx context.Context) error {
	p.heading("Bind a capability to another secret")
	budget, err := p.store(ctx, "RESEARCH_KEY", "research", bctrl.InWorkspace("my-workspace"))
	if err != nil {
		return err
	}
	if _, err := p.client.Capabilities.Bind(ctx, bctrl.Binding{
		Capability: chat,
		SecretRef:  "vault:secret:" + budget.ID,
		Scope:      bctrl.InWorkspace("my-workspace"),
		Consumer:   "research",
	}); err != nil {
		return err
	}
	p.note("It is bound for the consumer research alone:")
	in := bctrl.InWorkspace("my-workspace")
	if err := p.invoke(ctx, bctrl.Invocation{
		Capability: chat,
		Context:    in,
		Consumer:   "research",
		Body:       question(),
	}); err != nil {
		return err
	}
	return p.call(ctx, in)
}

// narrow launches a runtime that may call less than its workspace.
func (p *play) narrow(ctx context.Context) (err error) {
	p.heading("Let a runtime call less than its workspace")
	if _, err := p.store(ctx, "GITHUB_TOKEN", "company", bctrl.Global()); err != nil {
		return err
	}
	p.note("my-workspace mounts the capabilities github/: all of GitHub's.")
	rt, err := p.site.Runtimes.Browser("triage").Narrow(bctrl.Mounts{
		Capabilities: &bctrl.CapabilityMount{Allow: []string{"github/issues"}},
	}).
		Stagehand(ctx, bctrl.Launch{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rt.Stop(context.WithoutCancel(ctx))) }()
	answer, err := rt.Capabilities.Invoke(ctx, bctrl.Invocation{Capability: "github/issues",
		Path: "/repos/acme/site/issues"})
	if err != nil {
		return err
	}
	p.note("The runtime triage lists issues: status %d, with %s of the %s scope.", answer.Status, answer.Credential,
		answer.Tier)
	_, err = rt.Capabilities.Invoke(ctx, bctrl.Invocation{Capability: "github/repos", Path: "/repos/acme/site",
		Method: "DELETE"})
	if err := p.refused(err, "It deletes the repository"); err != nil {
		return err
	}
	_, err = p.site.Runtimes.Browser("greedy").Narrow(bctrl.Mounts{
		Capabilities: &bctrl.CapabilityMount{Allow: []string{"stripe/"}},
	}).
		Stagehand(ctx, bctrl.Launch{})
	return p.refused(err, "Another asks for Stripe at its launch")
}

// audit shows what the log has of the calls.
func (p *play) audit(ctx context.Context) error {
	p.heading("Read what the log has of this, oldest first")
	report, err := p.client.Audit.Verify(ctx)
	if err != nil {
		return err
	}
	var lines []string
	for e, err := range p.client.Audit.Events(ctx, bctrl.AuditFilter{Action: string(bctrl.InvokeCapability)}) {
		if err != nil {
			return err
		}
		lines = append(lines, fmt.Sprintf("%s  %-23s %-18s %-9s %s %s%s  %s", e.Time.Format(time.TimeOnly), e.Capability,
			or(e.Credential, "-"), or(e.Tier, "-"),
			or(e.Method, "-"), e.Host, e.Path, e.Outcome))
	}
	for i := len(lines) - 1; i >= 0; i-- {
		p.note("%s", lines[i])
	}
	p.note("Its %d events are chained and signed: nothing is missing or changed.", report.Events)
	return nil
}

// call asks a question in a context.
func (p *play) call(ctx context.Context, in bctrl.Scope) error {
	return p.invoke(ctx, bctrl.Invocation{Capability: chat, Context: in, Body: question()})
}

func (p *play) invoke(ctx context.Context, inv bctrl.Invocation) error {
	answer, err := p.client.Capabilities.Invoke(ctx, inv)
	if err != nil {
		return err
	}
	var said struct {
		Choices []struct{ Message struct{ Content string } }
	}
	if err := answer.JSON(&said); err != nil {
		return err
	}
	if len(said.Choices) == 0 {
		return fmt.Errorf("the provider answered %d, and nothing else", answer.Status)
	}
	where := inv.Context.String()
	if inv.Consumer != "" {
		where += " for " + inv.Consumer
	}
	p.note("%-36s -> tier %-9s %q", where, answer.Tier, said.Choices[0].Message.Content)
	return nil
}

// question is the body of a call, as OpenAI documents it.
func question() any {
	return map[string]any{"model": "gpt-5.2", "messages": []any{map[string]any{"role": "user", "content": "Who pays?"}}}
}

// store stores a key of an account.
func (p *play) store(ctx context.Context, name, account string, scope bctrl.Scope) (*bctrl.SecretInfo, error) {
	secret, err := p.client.Secrets.Create(ctx, bctrl.SecretCreate{Name: name, Value: p.keyOf(account), Scope: scope})
	if err == nil {
		p.note("%-14s the key of the account %q, in %s", name, account, scope)
	}
	return secret, err
}

func or(text, other string) string {
	if text == "" {
		return other
	}
	return text
}
