// Command consumer is a program outside the module. Its go.mod shows what the
// SDK puts into a user's, and running it that the SDK alone is enough to check
// mounts.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/bctrl-go/bctrl"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	client, err := bctrl.New(bctrl.WithBaseURL("http://127.0.0.1:8787"), bctrl.WithAPIKey(bctrl.NewSecret("made-up")))
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()

	ceiling := bctrl.Mounts{Vault: &bctrl.VaultMount{Allow: []string{"prod/crm/"}}}
	if _, err := ceiling.Narrow(bctrl.Mounts{Vault: &bctrl.VaultMount{Allow: []string{"prod/"}}}); !errors.Is(err,
		bctrl.ErrWidening) {
		return fmt.Errorf("a widening was not refused: %w", err)
	}
	fmt.Println("ok: a user's module builds, and refuses a widening")
	return nil
}
