package command

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/caarlos0/env/v11"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/blob"
	"github.com/bctrl-go/bctrl/internal/custody"
	"github.com/bctrl-go/bctrl/internal/daemon"
)

// serving says where and for whom the server runs; flags win over the
// environment.
type serving struct {
	Address     string   `env:"BCTRL_ADDRESS" envDefault:"127.0.0.1:8787"`
	Admin       string   `env:"BCTRL_ADMIN_ADDRESS"`
	PublicURL   string   `env:"BCTRL_PUBLIC_URL"`
	Allow       []string `env:"BCTRL_ALLOW_ADDRESS"`
	Browser     string   `env:"BCTRL_BROWSER"`
	BrowserUser string   `env:"BCTRL_BROWSER_USER"`
	Providers   string   `env:"BCTRL_PROVIDERS"`
	Prices      string   `env:"BCTRL_PRICES"`
	Files       string   `env:"BCTRL_FILES"`
	DirectLinks string   `env:"BCTRL_DIRECT_LINKS" envDefault:"false"`
	Node        string   `env:"BCTRL_NODE_ADDRESS"`
	Recordings  string   `env:"BCTRL_KEEP_RECORDINGS" envDefault:"0"`
	Capacity    capacity
	KeySource   string `env:"BCTRL_KEY_SOURCE"`
	Ask         bool   `env:"-"`
	Verbose     bool   `env:"-"`
}

// minKept is how long recordings are kept at least: less is a typing error, and they are looked for every six hours.
const minKept = time.Hour

func serve(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server",
		Long: `Run the server until it is interrupted.

The first run makes the data directory, the key that seals it (in a file of its
own: without it the data cannot be read by anyone) and an organization key,
which is printed once.

The key is in its file, in ` + keyVariable + `, or made of a passphrase, as --key-source
says on the first run; later runs know. With a passphrase the server starts
locked, and waits for 'bctrl unlock', unless ` + passphraseVariable + ` holds it or
--ask-passphrase asks for it: without echo, or on standard input.

The data is in files of the data directory. With --database all of it but the
bytes of files and the browsers' profiles is in a PostgreSQL database, which one
server has to itself. With --node-address several servers share the database,
and a bucket (--files), as the nodes of a cluster; see docs/cluster.md.

Pages and model providers are never at a special address, such as one of this
machine or of a private network, unless --allow-address names it.`,
		Example: `  bctrl serve
  bctrl serve --address 127.0.0.1:9000 --data-dir /srv/bctrl
  bctrl serve --allow-address 10.1.0.0/16 --allow-address ::1
  bctrl serve --files 's3://bctrl-files?endpoint=https://s3.example.com&region=eu-1'
  bctrl serve --warm 2 --max-runtimes 20 --min-free-memory 1GiB
  bctrl serve --providers /etc/bctrl/providers --prices /etc/bctrl/prices.json
  bctrl serve --database-file /etc/bctrl/database
  bctrl serve --node-address 10.1.2.3:7443 --database-file /etc/bctrl/database --files s3://bctrl-files
  bctrl serve --key-source passphrase --ask-passphrase < passphrase.txt`,
		Args: arguments(0, 0),
	}
	where := newDirs(cmd.Flags())
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
		if s.Ask && cfg.Passphrase.IsZero() {
			if cfg.Passphrase, err = askToServe(cmd, cfg); err != nil {
				return err
			}
		}
		cfg.Log = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: level}))
		stop, err := c.program.trace(cmd.Context(), &cfg)
		if err != nil {
			return err
		}
		defer stop()
		return run(cmd, cfg, s.Address, s.Admin)
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
	f.StringVar(&s.Admin, "admin-address", s.Admin, "address where operators read metrics, as Prometheus does, and "+
		"whether the server is ready; default: none (BCTRL_ADMIN_ADDRESS)")
	f.StringVar(&s.PublicURL, "public-url", s.PublicURL, "where callers reach the server, for links; default: where "+
		"each caller did (BCTRL_PUBLIC_URL)")
	f.StringSliceVar(&s.Allow, "allow-address", s.Allow,
		"special address or range (CIDR) that pages and model providers may be at; may be repeated (BCTRL_ALLOW_ADDRESS)")
	f.StringVar(&s.Browser, "browser", s.Browser, "path of the Chromium to run; default: the first one found "+
		"(BCTRL_BROWSER)")
	f.StringVar(&s.BrowserUser, "browser-user", s.BrowserUser,
		"user that browsers run as when the server is root; default: nobody (BCTRL_BROWSER_USER)")
	f.StringVar(&s.Providers, "providers", s.Providers, "folder of providers of your own, one JSON file each; see "+
		"docs/providers.md (BCTRL_PROVIDERS)")
	f.StringVar(&s.Prices, "prices", s.Prices, "file of what models cost, for budgets in US dollars; see "+
		"docs/agents.md (BCTRL_PRICES)")
	f.StringVar(&s.Files, "files", s.Files, "bucket for the bytes of files, s3://bucket/prefix?endpoint=…&region=…, with "+
		"credentials as AWS's programs find them; default: the data directory; see docs/cluster.md (BCTRL_FILES)")
	f.StringVar(&s.DirectLinks, "direct-links", s.DirectLinks, "have signed links send their users on to the bucket of "+
		"--files, which they have to reach; see docs/cluster.md (BCTRL_DIRECT_LINKS)")
	f.Lookup("direct-links").NoOptDefVal = "true"
	f.StringVar(&s.Node, "node-address", s.Node, "address at which the other nodes of a cluster reach this server, "+
		"host:port; default: the server shares its database with nobody; see docs/cluster.md (BCTRL_NODE_ADDRESS)")
	f.StringVar(&s.Recordings, "keep-recordings", s.Recordings, "how long recordings of runtimes stay in storage, such "+
		"as 720h; 0 is until somebody deletes them (BCTRL_KEEP_RECORDINGS)")
	s.Capacity.addFlags(f)
	f.StringVar(&s.KeySource, "key-source", s.KeySource, "where the key comes from: file, env or passphrase; default: "+
		"as before, or where there is one (BCTRL_KEY_SOURCE)")
	f.BoolVar(&s.Ask, "ask-passphrase", false, "ask for the passphrase, rather than start locked")
	f.BoolVar(&s.Verbose, "verbose", false, "log each request")
	return &s
}

// configure checks what was given and puts it into cfg.
func (s *serving) configure(cfg *daemon.Config) error {
	switch cfg.KeySource = bctrl.SealSource(s.KeySource); cfg.KeySource {
	case "", bctrl.SealFile, bctrl.SealEnvironment, bctrl.SealPassphrase:
	default:
		return fmt.Errorf("--key-source %q: want file, env or passphrase", s.KeySource)
	}
	cfg.Chromium.Path, cfg.Chromium.User, cfg.Providers = s.Browser, s.BrowserUser, s.Providers
	cfg.Prices, cfg.NodeAddress = s.Prices, s.Node
	if err := s.Capacity.configure(cfg); err != nil {
		return err
	}
	if err := s.configureFiles(cfg); err != nil {
		return err
	}
	var err error
	if cfg.KeepRecordings, err = time.ParseDuration(s.Recordings); err != nil || cfg.KeepRecordings < 0 ||
		cfg.KeepRecordings > 0 && cfg.KeepRecordings < minKept {
		return fmt.Errorf("--keep-recordings %q: want a time of %v or more, such as 720h, or 0", s.Recordings, minKept)
	}
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
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" ||
		u.Fragment != "" {
		return errors.New("--public-url: want http or https, a host and perhaps a path, such as https://bctrl.example.com")
	}
	cfg.PublicURL = u
	return nil
}

// configureFiles says where the bytes of files are.
func (s *serving) configureFiles(cfg *daemon.Config) (err error) {
	if s.Files != "" {
		files, err := blob.ParseS3(s.Files)
		if err != nil {
			return fmt.Errorf("--files: %w", err)
		}
		cfg.Files = &files
	}
	if cfg.DirectLinks, err = strconv.ParseBool(s.DirectLinks); err != nil {
		return errors.New("--direct-links: want true or false")
	}
	if cfg.DirectLinks && cfg.Files == nil {
		return errors.New("--direct-links needs a bucket: name one with --files")
	}
	return nil
}

// askToServe asks for the passphrase of the data, or for a new one where there
// is none.
func askToServe(cmd *cobra.Command, cfg daemon.Config) (bctrl.Secret, error) {
	err := cfg.FindData()
	switch {
	case err == nil:
		return ask(cmd, passphraseName)
	case errors.Is(err, daemon.ErrNoData):
		return askNew(cmd)
	}
	return bctrl.Secret{}, err
}

// parseRange reads a range, or an address as the range of itself alone. One that no address is
// ever in, since they are compared without zone and IPv4 as such, is refused.
func parseRange(text string) (p netip.Prefix, err error) {
	if strings.Contains(text, "/") {
		p, err = netip.ParsePrefix(text)
	} else {
		var a netip.Addr
		a, err = netip.ParseAddr(text)
		p = netip.PrefixFrom(a, a.BitLen())
	}
	if err == nil && (p.Addr().Is4In6() || strings.Contains(text, "%")) {
		err = errors.New("IPv4 written as IPv6, or with a zone")
	}
	return p.Masked(), err
}

// listen takes the address that a flag has.
func listen(flag, address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s is taken: stop what listens there, or choose another --%s", address, flag)
	}
	if err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	return l, nil
}

// run listens before it opens the data, so that a taken port changes nothing
// on disk. An empty admin address is none.
func run(cmd *cobra.Command, cfg daemon.Config, address, adminAddress string) error {
	// Who reads the log may end first, as tee does at Ctrl-C: that must not end the server in the
	// middle of its stop. It is not ignored, since browsers would inherit that.
	broken := make(chan os.Signal, 1)
	signal.Notify(broken, syscall.SIGPIPE)
	defer signal.Stop(broken)
	l, err := listen("address", address)
	if err != nil {
		return err
	}
	var admin net.Listener
	if adminAddress != "" {
		if admin, err = listen("admin-address", adminAddress); err != nil {
			return errors.Join(err, l.Close())
		}
	}
	d, err := daemon.Open(cmd.Context(), cfg)
	if errors.Is(err, custody.ErrPassphraseNeeded) {
		err = errors.New("the first run with a passphrase needs it: give --ask-passphrase, or set " + passphraseVariable)
	}
	if err != nil {
		return errors.Join(acceptable(err), closeListeners(l, admin))
	}
	out := cmd.OutOrStdout()
	if !d.FirstKey.IsZero() {
		if err := showFirstKey(out, d, cfg, l.Addr()); err != nil {
			return errors.Join(err, closeListeners(l, admin), d.Close())
		}
	}
	if d.Locked() {
		fmt.Fprintln(out, "Locked until 'bctrl unlock' gives the passphrase.")
	}
	if admin != nil {
		fmt.Fprintf(out, "Metrics on http://%s/metrics\n", admin.Addr())
	}
	fmt.Fprintf(out, "Listening on http://%s\n", l.Addr())
	if exposed(l.Addr()) {
		note(cmd, "Warning: what is sent to %s crosses the network in clear text, keys and secrets too. Let a proxy with "+
			"TLS speak "+
			"to the network, and say its address with --public-url; programs refuse http to another machine.", l.Addr())
	}
	if admin != nil && exposed(admin.Addr()) {
		note(cmd, "Warning: whoever reaches %s reads metrics without a key. Let only your monitoring reach it.", admin.Addr())
	}
	group, ctx := errgroup.WithContext(cmd.Context())
	group.Go(func() error { return d.Serve(ctx, l) })
	if admin != nil {
		group.Go(func() error { return d.ServeAdmin(ctx, admin) })
	}
	return errors.Join(group.Wait(), d.Close())
}

// showFirstKey prints what the first run made. Nobody can see the key again, so that a server
// which could not print it does not run.
func showFirstKey(out io.Writer, d *daemon.Daemon, cfg daemon.Config, addr net.Addr) error {
	key, keep := "its key "+cfg.KeyFile, "a copy of the key"
	switch d.KeySource() {
	case bctrl.SealEnvironment:
		key = "sealed it with the key in " + cfg.KeyVariable
	case bctrl.SealPassphrase:
		key, keep = "sealed it with the passphrase", "the passphrase"
	}
	_, err := fmt.Fprintf(out, "Made %s and %s: keep %s elsewhere.\n"+
		"What programs need; your organization key is shown this once:\n\n  export BCTRL_BASE_URL=%s\n  export "+
		"BCTRL_API_KEY=%s\n\n",
		cfg.DataDir, key, keep, baseURL(addr, cfg.PublicURL), d.FirstKey.Expose())
	if err != nil {
		return fmt.Errorf("the organization key could not be shown, make another with 'bctrl keys create': %w", err)
	}
	return nil
}

// closeListeners closes what nothing has been served on; admin may be nil.
func closeListeners(l, admin net.Listener) error {
	err := l.Close()
	if admin != nil {
		err = errors.Join(err, admin.Close())
	}
	return err
}

// exposed reports whether a listener is reached from other machines.
func exposed(addr net.Addr) bool {
	at, err := netip.ParseAddrPort(addr.String())
	return err != nil || !at.Addr().Unmap().IsLoopback()
}

// baseURL is what programs of this machine set BCTRL_BASE_URL to. One that
// listens at every address is reached by loopback, over which they may send a
// key without TLS. Where they refuse what they would have to be given, it is
// what to write there.
func baseURL(addr net.Addr, public *url.URL) string {
	at, err := netip.ParseAddrPort(addr.String())
	switch {
	case public != nil && public.Scheme == "https":
		return public.String()
	case public != nil && (public.Hostname() == "localhost" || public.Hostname() == "127.0.0.1" ||
		public.Hostname() == "::1"):
		return public.String()
	case public != nil || err != nil:
	case at.Addr().IsUnspecified(): // a listener at :: takes IPv4 too
		return "http://" + netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), at.Port()).String()
	case at.Addr().Unmap().IsLoopback():
		return "http://" + at.String()
	}
	return "<the https address of a proxy before http://" + addr.String() + ">"
}
