package command

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/bctrl-go/bctrl/internal/blob"
	"github.com/bctrl-go/bctrl/internal/daemon"
)

// moving says where data is moved to.
type moving struct {
	database databaseAt
	files    string
	yes      bool
}

func moveData(*cli) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "move",
		Short: "Copy a data directory into PostgreSQL and a bucket",
		Long: `Copy what a stopped server keeps in its data directory into an empty PostgreSQL
database, the bytes of its files into a bucket, or both. Without --yes nothing
is copied: it says what would be, and what is in the way.

Rows are copied as they are, sealed and proven with the key of the data, which
stays where it is. At the end every row is compared with the one that it was
copied from, every file with its SHA-256, and the audit log is verified where it
is then: it has to be the same, with the same head. No server starts on the
database or the bucket before all of that went well.

A move that ended halfway, however it did, goes on when the same command is
given again. The data directory is only read. It is still needed where the
server runs, for the browsers' profiles; its database and files are a backup
until they are deleted.`,
		Example: `  bctrl move --to-database-file /etc/bctrl/database
  bctrl move --to-files 's3://bctrl-files?endpoint=https://s3.example.com&region=eu-1' --yes`,
		Args: arguments(0, 0),
	}
	where := newFileDirs(cmd.Flags())
	m := moving{}
	f := cmd.Flags()
	f.StringVar(&m.database.url, "to-database", "", "URL of an empty PostgreSQL database")
	f.StringVar(&m.database.file, "to-database-file", "", "file that holds that URL, so that other users do not see its "+
		"password")
	f.StringVar(&m.files, "to-files", "", "bucket for the bytes of files, s3://bucket/prefix?endpoint=…&region=…, with "+
		"credentials as for 'bctrl serve --files'")
	f.BoolVar(&m.yes, "yes", false, "copy, rather than say what would be copied")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := where.config()
		if err != nil {
			return err
		}
		to, err := m.target()
		if err != nil {
			return err
		}
		return withPassphrase(cmd, cfg, func(cfg daemon.Config) error { return m.run(cmd, cfg, to) })
	}
	return cmd
}

// target is where to, as the flags say.
func (m moving) target() (to daemon.MoveTarget, err error) {
	if to.Database, err = m.database.read("to-"); err != nil {
		return to, err
	}
	if m.files != "" {
		files, err := blob.ParseS3(m.files)
		if err != nil {
			return to, usageError{fmt.Errorf("--to-files: %w", err)}
		}
		to.Files = &files
	}
	if to.Database.IsZero() && to.Files == nil {
		return to, usagef("say where to move: with --to-database or --to-database-file, --to-files, or both")
	}
	return to, nil
}

func (m moving) run(cmd *cobra.Command, cfg daemon.Config, to daemon.MoveTarget) (err error) {
	tell := func(format string, args ...any) { note(cmd, format+".", args...) }
	mover, err := daemon.OpenMover(cmd.Context(), cfg, to, tell)
	if errors.Is(err, daemon.ErrInUse) {
		return fmt.Errorf("%w: stop it first", err)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, mover.Close()) }()
	plan := mover.Plan()
	for _, line := range planLines(plan, to) {
		if _, err := fmt.Fprintln(cmd.OutOrStdout(), line); err != nil {
			return err
		}
	}
	if len(plan.InTheWay) > 0 {
		return errors.Join(plan.InTheWay...)
	}
	if !m.yes {
		note(cmd, "Nothing is in the way, and nothing was copied. Give --yes to copy.")
		return nil
	}
	if err := mover.Run(cmd.Context()); err != nil {
		return err
	}
	note(cmd, "All of it is there, and is what it was. Name where it is to 'bctrl serve' from now on, with the same data "+
		"directory, key and head of the audit log; %s itself was only read.", cfg.DataDir)
	return nil
}

// planLines say what a move has to do.
func planLines(plan daemon.MovePlan, to daemon.MoveTarget) (lines []string) {
	log := fmt.Sprintf("Log       whole, up to entry %d", plan.Log.Head.Seq)
	if !plan.Log.OK {
		log = fmt.Sprintf("Log       has %d problems, which move with it: see 'bctrl audit verify'",
			int64(len(plan.Log.Problems))+plan.Log.More)
	}
	lines = append(lines, log)
	if !to.Database.IsZero() {
		text := fmt.Sprintf("Database  %d rows in %d tables", plan.Rows, plan.Tables)
		if plan.Resumed {
			text += ", some of which are there already"
		}
		lines = append(lines, text)
	}
	if to.Files != nil {
		lines = append(lines, fmt.Sprintf("Files     %d of %d bytes, %d of which are there already", plan.Files, plan.Bytes,
			plan.Present))
	}
	return lines
}
