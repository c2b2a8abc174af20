package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/bctrl-go/bctrl/internal/daemon"
)

func serve() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server",
		Long: `Run the server until it is interrupted.

The first run makes the data directory, the key that seals it (in a file of its
own: without it the data cannot be read by anyone) and an organization key,
which is printed once.`,
		Example: `  bctrl serve
  bctrl serve --address 127.0.0.1:9000 --data-dir /srv/bctrl`,
		Args: cobra.NoArgs,
	}
	where := newDirs(cmd)
	address := cmd.Flags().String("address", envOr("BCTRL_ADDRESS", "127.0.0.1:8787"), "address to listen on (BCTRL_ADDRESS)")
	verbose := cmd.Flags().Bool("verbose", false, "log each request")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := where.config()
		if err != nil {
			return err
		}
		level := slog.LevelInfo
		if *verbose {
			level = slog.LevelDebug
		}
		cfg.Log = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: level}))
		return run(cmd, cfg, *address)
	}
	return cmd
}

// run listens before it opens the data, so that a taken port changes nothing
// on disk.
func run(cmd *cobra.Command, cfg daemon.Config, address string) error {
	l, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%s is taken: stop what listens there, or choose another --address", address)
	}
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	d, err := daemon.Open(cmd.Context(), cfg)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	out := cmd.OutOrStdout()
	if !d.FirstKey.IsZero() {
		fmt.Fprintf(out, "Made %s and its key %s: keep a copy of the key elsewhere.\nYour organization key, shown this once:\n\n  export BCTRL_API_KEY=%s\n\n",
			cfg.DataDir, cfg.KeyFile, d.FirstKey.Expose())
	}
	fmt.Fprintf(out, "Listening on http://%s\n", l.Addr())
	return errors.Join(d.Serve(cmd.Context(), l), d.Close())
}

func envOr(name, def string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return def
}
