package command

import (
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// refuseEmpty refuses a flag that was given without a text, as --consumer "$WHO" is
// where WHO is not set. Such a flag would say what leaving it out says: a list of
// everything, a binding for everybody, nothing denied, another server, new data.
func refuseEmpty(cmd *cobra.Command, _ []string) (err error) {
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if err == nil && isEmpty(f.Value) && f.Annotations[emptyMeans] == nil {
			err = usagef("--%s is empty: leave it out, or say what is meant", f.Name)
		}
	})
	return err
}

// isEmpty reports whether a value, or one of a list, is no text.
func isEmpty(v pflag.Value) bool {
	if list, ok := v.(pflag.SliceValue); ok {
		values := list.GetSlice()
		return len(values) == 0 || slices.Contains(values, "")
	}
	return v.String() == ""
}

// emptyMeans is the annotation of flags of which no text means something.
const emptyMeans = "bctrl_empty_means"

// mayBeEmpty takes flags of a command without a text, too: what is written for people,
// and what is taken away by that.
func mayBeEmpty(cmd *cobra.Command, names ...string) {
	for _, name := range names {
		if err := cmd.Flags().SetAnnotation(name, emptyMeans, []string{""}); err != nil {
			panic(err) // there is no such flag
		}
	}
}
