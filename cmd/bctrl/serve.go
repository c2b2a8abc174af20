package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"syscall"

	"github.com/caarlos0/env/v11"
	"github.com/spf13/cobra"

	"github.com/bctrl-go/bctrl/internal/daemon"
)

// serving says where and for whom the server runs; flags win over the
// environment.
type serving struct {
	Address     string   `env:"BCTRL_ADDRESS" envDefault:"127.0.0.1:8787"`
	PublicURL   string   `env:"BCTRL_PUBLIC_URL"`
	Allow       []string `env:"BCTRL_ALLOW_ADDRESS"`
	Browser     string   `env:"BCTRL_BROWSER"`
	BrowserUser string   `env:"BCTRL_BROWSER_USER"`
	Verbose     bool     `env:"-"`
}

func serve() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server",
		Long: `Run the server until it is interrupted.

The first run makes the data directory, the key that seals it (in a file of its
own: without it the data cannot be read by anyone) and an organization key,
which is printed once.

Pages and model providers are never at a special address, such as one of this
machine or of a private network, unless --allow-address names it.`,
		Example: `  bctrl serve
  bctrl serve --address 127.0.0.1:9000 --data-dir /srv/bctrl
  bctrl serve --allow-address 10.1.0.0/16 --allow-address ::1`,
		Args: arguments(0, 0),
	}
	where := newDirs(cmd)
	s := newServing(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := where.config()
		if err != nil {
			return err
		}
		if err := s.configure(&cfg); err != nil {
			return usageError{err}
		}
		level := slog.LevelInfo
		if s.Verbose {
			level = slog.LevelDebug
		}
		cfg.Log = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: level}))
		return run(cmd, cfg, s.Address)
	}
	return cmd
}

// newServing reads the environment and adds the flags to cmd.
func newServing(cmd *cobra.Command) *serving {
	s, err := env.ParseAs[serving]()
	if err != nil {
		s = serving{} // strings alone: cannot fail
	}
	f := cmd.Flags()
	f.StringVar(&s.Address, "address", s.Address, "address to listen on (BCTRL_ADDRESS)")
	f.StringVar(&s.PublicURL, "public-url", s.PublicURL, "where callers reach the server, for links; default: where each caller did (BCTRL_PUBLIC_URL)")
	f.StringSliceVar(&s.Allow, "allow-address", s.Allow, "special address or range (CIDR) that pages and model providers may be at; may be repeated (BCTRL_ALLOW_ADDRESS)")
	f.StringVar(&s.Browser, "browser", s.Browser, "path of the Chromium to run; default: the first one found (BCTRL_BROWSER)")
	f.StringVar(&s.BrowserUser, "browser-user", s.BrowserUser, "user that browsers run as when the server is root; default: nobody (BCTRL_BROWSER_USER)")
	f.BoolVar(&s.Verbose, "verbose", false, "log each request")
	return &s
}

// configure checks what was given and puts it into cfg.
func (s *serving) configure(cfg *daemon.Config) error {
	cfg.Chromium.Path, cfg.Chromium.User = s.Browser, s.BrowserUser
	for _, text := range s.Allow {
		prefix, err := parseRange(text)
		if err != nil {
			return fmt.Errorf("--allow-address %q: want an address or a range, such as 10.1.0.0/16", text)
		}
		cfg.Allow = append(cfg.Allow, prefix)
	}
	if s.PublicURL == "" {
		return nil
	}
	u, err := url.Parse(s.PublicURL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("--public-url: want http or https, a host and perhaps a path, such as https://bctrl.example.com")
	}
	cfg.PublicURL = u
	return nil
}

// parseRange reads a range, or an address as the range of itself alone.
func parseRange(text string) (netip.Prefix, error) {
	if strings.Contains(text, "/") {
		p, err := netip.ParsePrefix(text)
		return p.Masked(), err
	}
	a, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Prefix{}, err
	}
	return a.Prefix(a.BitLen())
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
		key := "its key " + cfg.KeyFile
		if os.Getenv(cfg.KeyVariable) != "" {
			key = "sealed it with the key in " + cfg.KeyVariable
		}
		reached := "http://" + l.Addr().String()
		if cfg.PublicURL != nil {
			reached = cfg.PublicURL.String()
		}
		fmt.Fprintf(out, "Made %s and %s: keep a copy of the key elsewhere.\n"+
			"What programs need; your organization key is shown this once:\n\n  export BCTRL_BASE_URL=%s\n  export BCTRL_API_KEY=%s\n\n",
			cfg.DataDir, key, reached, d.FirstKey.Expose())
	}
	fmt.Fprintf(out, "Listening on http://%s\n", l.Addr())
	return errors.Join(d.Serve(cmd.Context(), l), d.Close())
}
