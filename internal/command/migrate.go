package command

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/bctrl-go/bctrl/internal/daemon"
)

// errOlderSchema ends a command that has printed both versions.
var errOlderSchema = errors.New("the schema is older than this bctrl needs: 'bctrl migrate', or the next start of a " +
	"server, brings it up to date")

func migrateSchema(*cli) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the schema of the database up to date",
		Long: `Bring the schema of the database up to the version that this bctrl needs, while
no server runs, and say what was done. 'bctrl serve' does the same at its start;
this command is for those who want to do it first, or as a user of PostgreSQL
who may make tables where the server's may not. An empty PostgreSQL database
gets its tables. Several at once do it once.

With --check it changes nothing and says which version there is and which is
needed, also while a server runs. The exit code is 0 where they are the same,
and 1 where they are not.

A schema that a newer bctrl has been at is refused, by this command and by every
server: start one that knows it.`,
		Example: `  bctrl migrate --check
  bctrl migrate --database-file /etc/bctrl/database`,
		Args: arguments(0, 0),
	}
	where := newDataDir(cmd.Flags())
	check := cmd.Flags().Bool("check", false, "change nothing, and say which version there is and which is needed")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := where.data()
		if err != nil {
			return err
		}
		if *check {
			return checkVersion(cmd, cfg)
		}
		before, err := daemon.Migrate(cmd.Context(), cfg)
		if err != nil {
			return err
		}
		switch {
		case before.Version == before.Needed:
			note(cmd, "Nothing to do: the schema has version %d, the one that is needed.", before.Version)
		case before.Version == 0:
			note(cmd, "Made the schema, version %d.", before.Needed)
		default:
			note(cmd, "Brought the schema from version %d to version %d.", before.Version, before.Needed)
		}
		return nil
	}
	return cmd
}

// checkVersion prints both versions, and fails where they are not the same.
func checkVersion(cmd *cobra.Command, cfg daemon.Config) error {
	s, err := daemon.Schema(cmd.Context(), cfg)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(cmd.OutOrStdout(), "Version  %d\nNeeded   %d\n", s.Version, s.Needed); err != nil {
		return err
	}
	switch {
	case s.Version > s.Needed:
		return fmt.Errorf("the data was written by a newer bctrl: start one that knows version %d", s.Version)
	case s.Version < s.Needed:
		return errOlderSchema
	}
	return nil
}
