package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/bctrl-go/bctrl"
)

// defaultBaseURL is where `bctrl serve` listens unless told otherwise.
const defaultBaseURL = "http://127.0.0.1:8787"

// cli holds the flags that commands share: where the server is and how results
// are printed. One command runs, so one is enough.
type cli struct {
	program Program
	baseURL string
	json    bool
	fields  []string
	// known has names for ids while a server is asked and people read.
	known *knownNames
}

// reaching adds the flag of the server to a noun and all commands below it.
func (c *cli) reaching(noun *cobra.Command) *cobra.Command {
	noun.PersistentFlags().StringVar(&c.baseURL, "base-url", "",
		"where the server is (BCTRL_BASE_URL; default "+defaultBaseURL+")")
	return noun
}

// server is the address of the server.
func (c *cli) server() string {
	return cmp.Or(c.baseURL, os.Getenv("BCTRL_BASE_URL"), defaultBaseURL)
}

var errNoKey = usageError{errors.New("BCTRL_API_KEY is not set: export the key that 'bctrl serve' printed on its " +
	"first run, or make one with 'bctrl keys create'")}

// client speaks to the server.
func (c *cli) client(opts ...bctrl.Option) (*bctrl.Client, error) {
	if os.Getenv("BCTRL_API_KEY") == "" {
		return nil, errNoKey
	}
	client, err := bctrl.New(append(opts, bctrl.WithBaseURL(c.server()),
		bctrl.WithApplication("bctrl-cli", bctrl.Version))...)
	if err != nil {
		return nil, usageError{c.asConfigured(err)}
	}
	return client, nil
}

// asConfigured names the options of the SDK as this command takes them.
func (c *cli) asConfigured(err error) error {
	at := "BCTRL_BASE_URL"
	if c.baseURL != "" {
		at = "--base-url"
	}
	if e, ok := errors.AsType[*bctrl.Error](err); ok && e.Code == "client.insecure_base_url" {
		e.Hint = "use https: without it this command speaks to its own machine alone"
	}
	return naming(naming(err, "BaseURL", at), "APIKey", "BCTRL_API_KEY")
}

// with runs fn with a client.
func (c *cli) with(cmd *cobra.Command, fn func(ctx context.Context, client *bctrl.Client) error) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	if !c.json && len(c.fields) == 0 { // programs get ids, and nothing is asked for them
		c.known = newKnownNames(cmd.Context(), client)
	}
	return c.advised(fn(cmd.Context(), client))
}

// advised says what to do about the errors that everybody meets first.
func (c *cli) advised(err error) error {
	e, ok := errors.AsType[*bctrl.Error](err)
	if !ok {
		return err
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return &advice{fmt.Sprintf("no server answers at %s: start one with 'bctrl serve', or say where it is with "+
			"--base-url or BCTRL_BASE_URL", c.server()), err}
	case e.Status == http.StatusUnauthorized:
		return &advice{fmt.Sprintf("the server at %s does not take the key in BCTRL_API_KEY: it is wrong, revoked or "+
			"another server's (%s)", c.server(), e.Code), err}
	}
	return err
}

// note says something to whoever is at the terminal; programs read standard
// output.
func note(cmd *cobra.Command, format string, args ...any) {
	fmt.Fprintf(cmd.ErrOrStderr(), format+"\n", args...)
}
