package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/daemon"
	"github.com/bctrl-go/bctrl/internal/names"
)

func audits(c *cli) *cobra.Command {
	cmd := printing[bctrl.AuditEvent](c, &cobra.Command{
		Use:   "audit",
		Short: "See who did what, and prove that the log is whole",
		Long: `See who did what, and prove that the log of it is whole.

Every change, every use of a secret, every call to a provider and every refusal
is an event in the log. It names who, what and how it went, and never a value.

Without a command, the newest events are shown, oldest first.`,
		Example: `  bctrl audit --limit 5
  bctrl audit --before-ts-ms 1767000000000`,
	})
	limit := cmd.Flags().Int("limit", 200, "how many events")
	before := cmd.Flags().Int64("before-ts-ms", 0, "only events before a `time`, in milliseconds since 1970")
	group(cmd, tailAudit(c), exportAudit(c), verifyAudit(c), acceptAudit())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var f bctrl.AuditFilter
		switch {
		case *limit < 0:
			return usagef("--limit %d: want 0 or more", *limit)
		case cmd.Flags().Changed("before-ts-ms") && *before <= 0:
			return usagef("--before-ts-ms %d: want more than 0", *before)
		case *before > 0:
			f.Until = time.UnixMilli(*before)
		}
		return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
			last, err := c.showNewest(ctx, cmd, client, f, *limit)
			if err == nil && last == 0 {
				note(cmd, "There are none.")
			}
			return err
		})
	}
	return c.reaching(cmd)
}

// showNewest prints the newest events, oldest first, and returns the number of
// the last one.
func (c *cli) showNewest(
	ctx context.Context, cmd *cobra.Command, client *bctrl.Client, f bctrl.AuditFilter, n int,
) (last int64, err error) {
	newest, err := newestEvents(ctx, client, f, n)
	if err != nil {
		return 0, err
	}
	for _, e := range newest {
		if err := c.writeEvent(cmd.OutOrStdout(), e); err != nil {
			return 0, err
		}
		last = max(e.Seq, e.EndedSeq)
	}
	return last, nil
}

// selecting gives a command the flags that choose events.
func selecting(cmd *cobra.Command) (filter func() (bctrl.AuditFilter, error)) {
	var f bctrl.AuditFilter
	var denied bool
	var since, until string
	flags := cmd.Flags()
	flags.StringVar(&f.WorkspaceID, "workspace", "", "id or `name` of a workspace")
	flags.StringVar(&f.RuntimeID, "runtime", "", "`id` of a runtime")
	flags.StringVar(&f.Action, "action", "", "a right, such as `vault.write`")
	flags.StringVar(&f.Object, "object", "", "a `key`, an id or a path")
	flags.StringVar(&f.Outcome, "outcome", "", "ok, unknown or the `code` of an error")
	flags.StringVar(&f.Capability, "capability", "", "what a provider was called as, such as `github/repos`")
	flags.StringVar(&f.Credential, "credential", "", "`id` of the credential that a provider was called with")
	flags.BoolVar(&denied, "denied", false, "only what was refused")
	flags.StringVar(&since, "since", "", "from a `time` on: RFC 3339, or how long ago, such as 90m or 24h")
	flags.StringVar(&until, "until", "", "up to a `time`")
	return func() (_ bctrl.AuditFilter, err error) {
		if denied {
			f.Decision = bctrl.AuditDenied
		}
		if f.Since, err = pointInTime("since", since); err != nil {
			return f, err
		}
		f.Until, err = pointInTime("until", until)
		return f, err
	}
}

// withWorkspaceID is a filter whose workspace may have been given by name, as it
// is shown. One that is gone is still found by its id.
func withWorkspaceID(ctx context.Context, client *bctrl.Client, f bctrl.AuditFilter) (bctrl.AuditFilter, error) {
	if f.WorkspaceID == "" || names.UUID(f.WorkspaceID) == nil {
		return f, nil
	}
	ws, err := client.Workspaces.GetByName(ctx, f.WorkspaceID)
	if err != nil {
		return f, about("--workspace "+printable(f.WorkspaceID), err)
	}
	f.WorkspaceID = ws.ID
	return f, nil
}

// pointInTime reads a time, or how long ago it was.
func pointInTime(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return time.Now().Add(-ago), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, usagef("--%s %s: want a time such as 2026-01-31T12:00:00Z, or how long ago, such as 24h", flag,
			printable(text))
	}
	return t, nil
}

func tailAudit(c *cli) *cobra.Command {
	cmd := printing[bctrl.AuditEvent](c, &cobra.Command{
		Use:   "tail",
		Short: "Show the newest events, oldest first, and follow what comes",
		Long: `Show the newest events, oldest first. With --follow it goes on until it is
interrupted. An event whose outcome comes later is then there twice: at once,
with "…", and again with its outcome. --json prints a line for each event.`,
		Example: `  bctrl audit tail --action vault.write
  bctrl audit tail -n 5 --object prod/crm/salesforce --output time,caller,action,outcome
  bctrl audit tail --denied --since 24h`,
		Args: arguments(0, 0),
	})
	filter := selecting(cmd)
	n := cmd.Flags().IntP("lines", "n", 20, "how many events")
	follow := cmd.Flags().BoolP("follow", "f", false, "go on with what comes")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		f, err := filter()
		if err != nil {
			return err
		}
		if *n < 0 {
			return usagef("--lines %d: want 0 or more", *n)
		}
		return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
			if f, err = withWorkspaceID(ctx, client, f); err != nil {
				return err
			}
			last, err := c.showNewest(ctx, cmd, client, f, *n)
			switch {
			case err != nil:
				return err
			case !*follow && last == 0:
				note(cmd, "There are none.")
				return nil
			case !*follow:
				return nil
			}
			f.After = last
			for e, err := range client.Audit.Tail(ctx, f) {
				if err == nil {
					err = c.writeEvent(cmd.OutOrStdout(), e)
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	return cmd
}

// newestEvents are the last n, oldest first.
func newestEvents(
	ctx context.Context, client *bctrl.Client, f bctrl.AuditFilter, n int,
) (newest []bctrl.AuditEvent, err error) {
	if n == 0 {
		return nil, nil
	}
	for e, err := range client.Audit.Events(ctx, f) {
		if err != nil {
			return nil, err
		}
		if newest = append(newest, e); len(newest) == n {
			break
		}
	}
	slices.Reverse(newest)
	return newest, nil
}

// writeEvent prints an event as soon as it is there.
func (c *cli) writeEvent(out io.Writer, e bctrl.AuditEvent) error {
	switch {
	case len(c.fields) > 0:
		return c.writeFields(out, e)
	case c.json:
		line, err := audit.Encode(e)
		if err == nil {
			_, err = out.Write(append(line, '\n'))
		}
		return err
	}
	outcome := e.Outcome
	if outcome == "" {
		outcome = "…"
	}
	_, err := fmt.Fprintf(out, "%s  %-24s  %-16s  %s%s  by %s%s%s\n", moment(e.Time), cell(outcome), cell(e.Action),
		cell(c.known.object(e)),
		c.where(e), cell(c.known.caller(e)), c.usedWith(e), called(e))
	return err
}

// where says in which workspace and group something happened, or from which
// address and how often.
func (c *cli) where(e bctrl.AuditEvent) string {
	text := ""
	if e.WorkspaceID != "" {
		text = "  in " + cell(c.known.workspace(e.WorkspaceID))
	}
	if e.Group != "" {
		text += ", group " + cell(e.Group)
	}
	if e.Address != "" {
		text += "  from " + cell(e.Address)
	}
	if e.Count > 1 {
		text += ", " + strconv.FormatInt(e.Count, 10) + " times"
	}
	return text
}

// usedWith says with which credential something was done, and with which
// secrets, where bindings put others in the place of its own.
func (c *cli) usedWith(e bctrl.AuditEvent) string {
	if e.Credential == "" {
		return ""
	}
	text := "  with " + cell(e.Credential)
	if e.Tier != "" {
		text += " (" + cell(e.Tier) + ")"
	}
	for _, s := range e.Secrets {
		if s.Binding != "" {
			text += ", bound " + cell(s.Field) + " " + cell(c.known.name("secret", s.UID)) + " (" + cell(s.Tier) + ")"
		}
	}
	return text
}

// called says where a call to a provider went and how it was answered.
func called(e bctrl.AuditEvent) string {
	if e.Method == "" {
		return ""
	}
	text := "  " + printable(e.Method+" "+e.Host+e.Path)
	if e.Status != 0 {
		text += " " + strconv.Itoa(e.Status)
	}
	return text
}

func exportAudit(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Print all events as lines of JSON, oldest first",
		Long: `Print all events, or those that are chosen, as lines of JSON, oldest first, up
to now. The text is ASCII: everything else is in it as \u escapes.`,
		Example: "  bctrl audit export --since 24h --action vault.write",
		Args:    arguments(0, 0),
	}
	filter := selecting(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		f, err := filter()
		if err != nil {
			return err
		}
		return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
			if f, err = withWorkspaceID(ctx, client, f); err != nil {
				return err
			}
			return client.Audit.Export(ctx, cmd.OutOrStdout(), f)
		})
	}
	return cmd
}

func verifyAudit(c *cli) *cobra.Command {
	cmd := printing[bctrl.AuditReport](c, &cobra.Command{
		Use:   "verify",
		Short: "Prove that the log is whole, or say what was done to it",
		Long: `Compute the log anew, and compare it with its signed checkpoints, with the head
that is kept outside the database beside the key, and with the records as they
are stored. It finds events that were deleted, edited, inserted, moved or cut
off, a log that was written anew, and a record or a database that was put back
to an older state. The exit code is 0 when all is well and 1 when it is not.

While no server runs, the data directory is verified itself, with its key. While
one does, it is asked, and tells of the organization of BCTRL_API_KEY.`,
		Example: `  bctrl audit verify
  bctrl audit verify --json`,
		Args: arguments(0, 0),
	})
	where := newDirs(cmd.Flags())
	files := newFilesFlag(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := where.config()
		if err == nil {
			cfg.Files, err = files()
		}
		if err != nil {
			return err
		}
		var report bctrl.AuditReport
		err = withPassphrase(cmd, cfg, func(cfg daemon.Config) (err error) {
			report, err = daemon.VerifyAudit(cmd.Context(), cfg)
			return err
		})
		if served(err) {
			err = c.with(cmd, func(ctx context.Context, client *bctrl.Client) error {
				found, err := client.Audit.Verify(ctx)
				if err == nil {
					report = *found
				}
				return err
			})
		}
		if err != nil {
			return err
		}
		return c.showReport(cmd, report)
	}
	return cmd
}

// errTampered ends a command that has printed what was done to the log.
var errTampered = errors.New("the audit log is not what was written: somebody changed it, or the data, behind the " +
	"server's back")

func (c *cli) showReport(cmd *cobra.Command, r bctrl.AuditReport) error {
	answer := "whole"
	if !r.OK {
		answer = "changed"
	}
	lines := []pair{
		{"Log", answer}, {"Entries", strconv.FormatInt(r.Events, 10)}, {"Records", strconv.FormatInt(r.Records, 10)},
		{"Checkpoints", strconv.FormatInt(r.Checkpoints, 10)}, {"Signed up to", strconv.FormatInt(r.Signed, 10)},
	}
	for _, seq := range r.Accepted {
		lines = append(lines, pair{"Accepted at", strconv.FormatInt(seq, 10)})
	}
	for _, p := range r.Problems {
		text := string(p.Kind)
		if p.Seq != 0 {
			text += " at " + strconv.FormatInt(p.Seq, 10)
		}
		lines = append(lines, pair{"Problem", strings.Join(words(text, p.Record, p.Message), ": ")})
	}
	if r.More > 0 {
		lines = append(lines, pair{"Problems more", strconv.FormatInt(r.More, 10)})
	}
	if err := show(c, cmd, r, lines...); err != nil || r.OK {
		return err
	}
	return errTampered
}

// acceptable is an error with the way to go on from it, where it is of a log that does not fit its head.
func acceptable(err error) error {
	for _, unfit := range []error{audit.ErrHeadMissing, audit.ErrHeadForged, audit.ErrOlder} {
		if errors.Is(err, unfit) {
			return fmt.Errorf("%w; if that was meant, as when a backup was put back, 'bctrl audit accept' lets it go on", err)
		}
	}
	return err
}

func acceptAudit() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "accept",
		Short: "Let a log that does not fit go on from where it is",
		Long: `Let the log go on from where it is: after a backup was put back on purpose, or
when the head that is kept outside the database was lost. A server does not
start on such data by itself. That, and why, is recorded in the log. What was
changed inside the log stays a problem for 'bctrl audit verify'.

It works on the data directory itself, while no server runs.`,
		Example: `  bctrl audit accept --why "the backup of Monday was put back"`,
		Args:    arguments(0, 0),
	}
	where := newDirs(cmd.Flags())
	files := newFilesFlag(cmd.Flags())
	why := cmd.Flags().String("why", "", "what happened, for the `text` of the event; required")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *why == "" {
			return usageError{errors.New("--why is missing: say what happened")}
		}
		if err := textOnly("text of --why", *why); err != nil {
			return err
		}
		cfg, err := where.config()
		if err == nil {
			cfg.Files, err = files()
		}
		if err != nil {
			return err
		}
		err = withPassphrase(cmd, cfg, func(cfg daemon.Config) error { return daemon.AcceptAudit(cmd.Context(), cfg, *why) })
		if err != nil {
			return err
		}
		note(cmd, "The log goes on from here, and says so.")
		return nil
	}
	return cmd
}
