package command

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// wantFilled refuses flags of a command that were given without a text, as
// --consumer "$WHO" is where WHO is not set. Without one, such a flag would say
// what leaving it out says: a list of everything, a binding for everybody.
func wantFilled(cmd *cobra.Command, names ...string) {
	before := cmd.PreRunE
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		if err := filled(cmd.Flags(), names...); err != nil || before == nil {
			return err
		}
		return before(cmd, args)
	}
}

// filled refuses the first of the named flags that was given without a text.
func filled(flags interface{ Lookup(name string) *pflag.Flag }, names ...string) error {
	for _, name := range names {
		if f := flags.Lookup(name); f != nil && f.Changed && f.Value.String() == "" {
			return usagef("--%s is empty: leave it out, or say what is meant", name)
		}
	}
	return nil
}
