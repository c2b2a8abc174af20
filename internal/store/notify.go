package store

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	// listenAgain is how long a listener waits before it connects anew.
	listenAgain = time.Second
	// listenLimit is how long its connection may take to be made or to answer.
	listenLimit = 2 * time.Second
	// maxNotice is below the 8000 bytes that PostgreSQL takes of a notice.
	maxNotice = 7000
)

// channel is what servers that share a schema are told through.
const channel = "'bctrl ' || current_schema()"

// notice is what servers that share a database tell each other.
type notice struct {
	// Happened is whose events were written, an organization and a runtime each.
	Happened [][2]string `json:"happened,omitempty"`
	// Anybody is set where it may be anybody's.
	Anybody bool `json:"anybody,omitempty"`
	// Rules is what was changed of the rules, and Number the number of that change.
	Rules  RuleNews `json:"rules,omitzero"`
	Number int64    `json:"number,omitempty"`
	// Heard is set where a node says that it obeys what was changed.
	Heard bool `json:"heard,omitempty"`
}

// encode writes a notice. One that would be too long is for everybody.
func (n notice) encode() (string, error) {
	text, err := json.Marshal(n)
	if err != nil || len(text) <= maxNotice {
		return string(text), err
	}
	n.Happened, n.Anybody = nil, true
	if n.Number > 0 {
		n.Rules = RuleNews{All: true, Lock: n.Rules.Lock}
	}
	text, err = json.Marshal(n)
	return string(text), err
}

// notice is what the servers that share the database are told when a transaction is
// durable: whose events it writes, and whose rules it changes. It is empty where there is
// nothing to tell.
func (b *batch) notice(ctx context.Context, jobs []*job) (text string, err error) {
	if !b.on.shared {
		return "", nil
	}
	var n notice
	for _, j := range jobs {
		if j.err == nil {
			for _, of := range j.tx.happened {
				n.Happened = append(n.Happened, [2]string{of.org, of.runtime})
			}
		}
	}
	if n.Rules, n.Number, err = b.raiseRules(ctx, jobs); err != nil {
		return "", err
	}
	if len(n.Happened) == 0 && n.Number == 0 {
		return "", nil
	}
	return n.encode()
}

// listener tells watchers of what other servers write, and the feed of rules of what any
// server changes of them.
type listener struct {
	config   *pgx.ConnConfig
	watching *watchers
	rules    *ruleFeed
	stop     context.CancelFunc
	done     chan struct{}
}

// listen starts a listener on a connection of its own.
func listen(config *pgx.ConnConfig, watching *watchers, rules *ruleFeed) *listener {
	ctx, stop := context.WithCancel(context.Background())
	l := &listener{
		config:   config,
		watching: watching,
		rules:    rules,
		stop:     stop,
		done:     make(chan struct{}),
	}
	go l.run(ctx)
	return l
}

func (l *listener) close() {
	if l == nil {
		return
	}
	l.stop()
	<-l.done
}

func (l *listener) run(ctx context.Context) {
	defer close(l.done)
	again := time.NewTimer(0)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		}
		begun := time.Now()
		l.hear(ctx)
		again.Reset(listenAgain - time.Since(begun)) // at once after a connection that lasted
	}
}

// hear tells of notices until the connection ends, or stands still.
func (l *listener) hear(ctx context.Context) {
	conn, err := l.connect(ctx)
	if err != nil {
		return // the writer says so to whoever asks for something
	}
	defer conn.Close(context.WithoutCancel(ctx))
	l.watching.tellAll() // of what was missed
	l.rules.catchUp()
	for ctx.Err() == nil {
		l.rules.touch()
		told, err := waitForNotice(ctx, conn)
		if err != nil {
			return
		}
		if told == nil { // for long: is anybody there?
			if err := ask(ctx, conn); err != nil {
				return
			}
			continue
		}
		l.tell(told.Payload)
	}
}

// connect makes a connection on which notices come.
func (l *listener) connect(ctx context.Context) (*pgx.Conn, error) {
	ctx, done := context.WithTimeout(ctx, listenLimit)
	defer done()
	conn, err := pgx.ConnectConfig(ctx, l.config)
	if err != nil {
		return nil, err
	}
	var name string
	if err = conn.QueryRow(ctx, "SELECT "+channel).Scan(&name); err == nil {
		_, err = conn.Exec(ctx, "LISTEN "+pgx.Identifier{name}.Sanitize())
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close(context.WithoutCancel(ctx)))
	}
	return conn, nil
}

// waitForNotice returns the next notice, or nil where there is none for a second.
func waitForNotice(ctx context.Context, conn *pgx.Conn) (*pgconn.Notification, error) {
	short, done := context.WithTimeout(ctx, listenAgain)
	defer done()
	told, err := conn.WaitForNotification(short)
	if err != nil && short.Err() != nil && ctx.Err() == nil && !conn.IsClosed() {
		return nil, nil //nolint:nilnil // nobody has told anything
	}
	return told, err
}

// ask has the database answer.
func ask(ctx context.Context, conn *pgx.Conn) error {
	ctx, done := context.WithTimeout(ctx, listenLimit)
	defer done()
	return conn.Ping(ctx)
}

// tell tells of a notice.
func (l *listener) tell(payload string) {
	var n notice
	if json.Unmarshal([]byte(payload), &n) != nil {
		l.watching.tellAll()
		l.rules.catchUp()
		return
	}
	if n.Anybody {
		l.watching.tellAll()
	}
	happened := make([]eventScope, len(n.Happened))
	for i, of := range n.Happened {
		happened[i] = eventScope{of[0], of[1]}
	}
	l.watching.tell(happened)
	if n.Number > 0 {
		l.rules.add(n.Rules, n.Number)
	}
	if n.Heard {
		l.rules.tellHeard()
	}
}
