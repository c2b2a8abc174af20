package store

import (
	"context"
	"crypto/tls"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"net"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// Postgres says which database holds the store.
type Postgres struct {
	// URL is that of the database: postgres://user:password@host:port/name. It is
	// never repeated, since it may hold a password.
	URL string
	// Shared lets other servers write to the database at the same time. Without it
	// one server has the database to itself, as the one of a file has, and is not
	// started while another has it.
	Shared bool
	// Existing refuses a database that holds no store, rather than make one.
	Existing bool
}

// oldestPostgres is the major version that the tests run on.
const oldestPostgres = 15

var (
	// ErrURL is returned for a text that is not the URL of a PostgreSQL database.
	ErrURL = errors.New("the database is not given as postgres://user:password@host:port/name")
	// ErrInUse is returned when another server has the database.
	ErrInUse = errors.New("another server uses this database")
	// ErrNotPostgres is returned for a database of another product, or an older
	// version than the server is made for.
	ErrNotPostgres = fmt.Errorf("the database is not PostgreSQL %d or later", oldestPostgres)
	// ErrEmpty is returned for a database that holds no store where there has to be one.
	ErrEmpty = errors.New("the database holds no data of a server")
	// ErrEncoding is returned for a database that does not hold every text.
	ErrEncoding = errors.New("the database is not encoded in UTF8: create it with ENCODING 'UTF8' TEMPLATE template0")
)

// OpenPostgres opens the store in a PostgreSQL database and brings its schema up to
// date. Several servers that do so at once do it once. What is said of a prover at
// [Open] holds here.
func OpenPostgres(ctx context.Context, cfg Postgres, prover Prover) (*DB, error) {
	config, err := cfg.parse()
	if err != nil {
		return nil, err
	}
	on := postgresDialect(cfg.Shared)
	if err := withPatientPool(ctx, *config, func(pool *sql.DB) error {
		return preparePostgres(ctx, pool, on, cfg.Existing)
	}); err != nil {
		return nil, fmt.Errorf("the database %s: %w", nameOf(config), err)
	}
	pool := stdlib.OpenDB(*config)
	conns := max(8, runtime.NumCPU()*4)
	pool.SetMaxOpenConns(conns)
	pool.SetMaxIdleConns(conns)
	db := newDB(pool, pool, on, prover)
	if !cfg.Shared {
		db.keys = &keyCache{}
	}
	db.batch = newBatch(db)
	opened, err := db.start(ctx)
	if err != nil {
		return nil, fmt.Errorf("the database %s: %w", nameOf(config), err)
	}
	db.feed = followRules(db)
	if cfg.Shared {
		db.listener = listen(config, &db.watchers, db.feed)
	}
	return opened, nil
}

// parse reads the URL, and sets the limits of every connection that it does not.
func (cfg Postgres) parse() (*pgx.ConnConfig, error) {
	if !strings.HasPrefix(cfg.URL, "postgres://") && !strings.HasPrefix(cfg.URL, "postgresql://") {
		return nil, ErrURL
	}
	config, err := pgx.ParseConfig(cfg.URL)
	if err != nil {
		return nil, ErrURL // not the error itself, which quotes the URL
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = lockLimit
	}
	limits := map[string]time.Duration{
		"statement_timeout":                   statementLimit,
		"lock_timeout":                        lockLimit,
		"idle_in_transaction_session_timeout": 2 * answerLimit,
	}
	for name, limit := range limits {
		if config.RuntimeParams[name] == "" { // whoever sets the URL may know better
			config.RuntimeParams[name] = strconv.FormatInt(limit.Milliseconds(), 10)
		}
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "bctrl"
	}
	return config, nil
}

// nameOf says which database it is, to who set it: where it is and its name.
func nameOf(config *pgx.ConnConfig) string {
	if strings.HasPrefix(config.Host, "/") {
		return config.Database + " at " + config.Host
	}
	return config.Database + " at " + net.JoinHostPort(config.Host, strconv.Itoa(int(config.Port)))
}

// withPatientPool calls fn with connections to a database that is one for a store.
func withPatientPool(ctx context.Context, config pgx.ConnConfig, fn func(*sql.DB) error) (err error) {
	pool := openPatientPool(config)
	defer func() { err = errors.Join(err, pool.Close()) }()
	if err := checkPostgres(ctx, pool); err != nil {
		return err
	}
	if err := refuseMoving(ctx, pool); err != nil {
		return err
	}
	return fn(pool)
}

// openPatientPool makes connections that have no limit for a statement: a migration may
// take long.
func openPatientPool(config pgx.ConnConfig) *sql.DB {
	config.RuntimeParams = maps.Clone(config.RuntimeParams)
	config.RuntimeParams["statement_timeout"] = "0"
	config.RuntimeParams["idle_in_transaction_session_timeout"] = "0"
	return stdlib.OpenDB(config)
}

// preparePostgres makes sure that the database is one for a store, and brings its
// schema up to date.
func preparePostgres(ctx context.Context, pool *sql.DB, on *dialect, existing bool) (err error) {
	if on.schema, err = postgresSchema.of(ctx, pool); err != nil {
		return err
	}
	return migratePostgres(ctx, pool, on, existing)
}

// checkPostgres refuses a server that cannot keep what this package promises.
func checkPostgres(ctx context.Context, pool *sql.DB) error {
	var product string
	if err := pool.QueryRowContext(ctx, "SELECT version()").Scan(&product); err != nil {
		return connectionError(err)
	}
	if !strings.HasPrefix(product, "PostgreSQL ") {
		return fmt.Errorf("%w: it is another product", ErrNotPostgres)
	}
	var s servedAs
	err := pool.QueryRowContext(ctx, `SELECT current_setting('server_version_num')::int,
		current_setting('transaction_read_only')::bool, pg_is_in_recovery(), current_setting('server_encoding'),
		current_setting('synchronous_commit')`).Scan(&s.version, &s.readOnly, &s.standby, &s.encoding, &s.synchronous)
	if err != nil {
		return connectionError(err)
	}
	return s.refuse()
}

// servedAs is how PostgreSQL serves a database.
type servedAs struct {
	version               int // 150004 is 15.4
	readOnly, standby     bool
	encoding, synchronous string
}

// refuse refuses what does not keep what this package promises.
func (s servedAs) refuse() error {
	switch {
	case s.version/10000 < oldestPostgres:
		return fmt.Errorf("%w: it is version %d", ErrNotPostgres, s.version/10000)
	case s.readOnly, s.standby:
		return fmt.Errorf("%w: name the one that its standbys follow, with a user who may write", ErrReadOnly)
	case s.encoding != "UTF8":
		return ErrEncoding
	case s.synchronous == "off":
		return errors.New("synchronous_commit is off for this user or database, " +
			"so that PostgreSQL would forget what it has acknowledged: set it to on")
	}
	return nil
}

// connectionError says why there is no connection, without what was in the URL.
func connectionError(err error) error {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch e.Code {
		case "28P01", "28000":
			return errors.New("PostgreSQL does not let this user in with this password, or from here")
		case "3D000":
			return errors.New("PostgreSQL has no database of this name")
		case notPermitted:
			return errors.New("this user may not connect to it")
		}
		return translate(err)
	}
	return fmt.Errorf("%w: %s", ErrUnavailable, whyUnreached(err))
}

// whyUnreached says in words of our own why there is no connection, and what to look at.
func whyUnreached(err error) string {
	_, name := errors.AsType[*net.DNSError](err)
	_, certificate := errors.AsType[*tls.CertificateVerificationError](err)
	_, network := errors.AsType[net.Error](err)
	switch {
	case name:
		return "the name of its host is not found"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there, so see that it runs, and which port it has"
	case certificate:
		return "its certificate is not trusted, so name its authority with sslrootcert, and the host that it is for"
	case pgconn.Timeout(err), errors.Is(err, context.DeadlineExceeded):
		return "nothing came back in time, so see that it is reached from here"
	case network:
		return "it cannot be reached from here"
	}
	return "what is there does not speak as PostgreSQL does, or not as sslmode asks for"
}
