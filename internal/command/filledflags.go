package command

import "github.com/spf13/cobra"

// wantFilled refuses flags of a command that were given without a text, as
// --consumer "$WHO" is where WHO is not set. Without one, such a flag would say
// what leaving it out says: a list of everything, a binding for everybody.
func wantFilled(cmd *cobra.Command, names ...string) {
	before := cmd.PreRunE
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		for _, name := range names {
			if f := cmd.Flags().Lookup(name); f.Changed && f.Value.String() == "" {
				return usagef("--%s is empty: leave it out, or say what is meant", name)
			}
		}
		if before == nil {
			return nil
		}
		return before(cmd, args)
	}
}
