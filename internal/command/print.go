package command

import (
	"fmt"
	"io"
	"iter"
	"reflect"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

// printing gives a command the flags that say how its records, of type T, are
// printed.
func printing[T any](c *cli, cmd *cobra.Command) *cobra.Command {
	names := fieldNames(reflect.TypeFor[T]())
	cmd.Flags().BoolVar(&c.json, "json", false, "print JSON, as the HTTP API has it")
	cmd.Flags().StringSliceVar(&c.fields, "output", nil, "`fields` to print, with tabs between them: "+strings.Join(names,
		", "))
	completeFlag(cmd, "output", func(
		_ *cobra.Command, _ []string, typed string,
	) (found []string, _ cobra.ShellCompDirective) {
		before := typed[:strings.LastIndex(typed, ",")+1]
		for _, name := range starting(names, typed[len(before):]) {
			found = append(found, before+name)
		}
		return found, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	})
	cmd.PreRunE = func(*cobra.Command, []string) error {
		// Before the command has an effect.
		for _, field := range c.fields {
			if name, _, _ := strings.Cut(field, "."); !slices.Contains(names, name) {
				return usagef("--output %q: want fields of %s", field, strings.Join(names, ", "))
			}
		}
		return nil
	}
	return cmd
}

// pair is a line about one record: a name and a text.
type pair struct{ name, text string }

// show prints one record, for people as lines.
func show[T any](c *cli, cmd *cobra.Command, record T, lines ...pair) error {
	out := cmd.OutOrStdout()
	switch {
	case c.json:
		if err := c.writeJSON(out, record, ""); err != nil {
			return err
		}
		_, err := io.WriteString(out, "\n")
		return err
	case len(c.fields) > 0:
		return c.writeFields(out, record)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, line := range lines {
		if line.text != "" {
			fmt.Fprintf(w, "%s:\t%s\n", line.name, cell(line.text))
		}
	}
	return w.Flush()
}

// column is one of a table for people.
type column[T any] struct {
	title string
	text  func(T) string
}

// list prints records as they come; for people, who want columns, at the end.
func list[T any](c *cli, cmd *cobra.Command, records iter.Seq2[T, error], columns ...column[T]) error {
	switch out := cmd.OutOrStdout(); {
	case c.json:
		return listJSON(c, out, records)
	case len(c.fields) > 0:
		for record, err := range records {
			if err == nil {
				err = c.writeFields(out, record)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	n := 0
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	for record, err := range records {
		if err != nil {
			return err
		}
		if n++; n == 1 {
			writeRow(w, columns, func(c column[T]) string { return c.title })
		}
		writeRow(w, columns, func(c column[T]) string { return cell(c.text(record)) })
	}
	if n == 0 {
		note(cmd, "There are none.")
	}
	return w.Flush()
}

func writeRow[T any](w io.Writer, columns []column[T], text func(column[T]) string) {
	row := make([]string, len(columns))
	for i, column := range columns {
		row[i] = text(column)
	}
	fmt.Fprintln(w, strings.Join(row, "\t"))
}

// listJSON prints an array. An error leaves it open, so that no program takes
// a part for the whole.
func listJSON[T any](c *cli, out io.Writer, records iter.Seq2[T, error]) error {
	before, after := "[\n  ", "[]\n"
	for record, err := range records {
		if err != nil {
			return err
		}
		if _, err := io.WriteString(out, before); err != nil {
			return err
		}
		if err := c.writeJSON(out, record, "  "); err != nil {
			return err
		}
		before, after = ",\n  ", "\n]\n"
	}
	_, err := io.WriteString(out, after)
	return err
}
