package store

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// listenAgain is how long a listener waits before it connects anew.
	listenAgain = time.Second
	// maxNotice is below the 8000 bytes that PostgreSQL takes of a notice.
	maxNotice = 7000
)

// channel is what servers that share a schema are told through.
const channel = "'bctrl ' || current_schema()"

// notify tells the other servers whose events a transaction writes, when it is durable.
func (b *batch) notify(ctx context.Context, jobs []*job) error {
	if !b.on.shared {
		return nil
	}
	var whose [][2]string
	for _, j := range jobs {
		if j.err == nil {
			for _, of := range j.tx.happened {
				whose = append(whose, [2]string{of.org, of.runtime})
			}
		}
	}
	if len(whose) == 0 {
		return nil
	}
	notice, err := json.Marshal(whose)
	if err != nil {
		return err
	}
	if len(notice) > maxNotice {
		notice = nil // anybody's
	}
	_, err = b.q.exec(ctx, "SELECT pg_notify("+channel+", $1)", string(notice))
	return err
}

// listener tells watchers of what other servers write.
type listener struct {
	config   *pgx.ConnConfig
	watching *watchers
	stop     context.CancelFunc
	done     chan struct{}
}

// listen starts a listener on a connection of its own.
func listen(config *pgx.ConnConfig, watching *watchers) *listener {
	ctx, stop := context.WithCancel(context.Background())
	l := &listener{
		config:   config,
		watching: watching,
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
		l.hear(ctx)
		again.Reset(listenAgain)
	}
}

// hear tells of notices until the connection ends.
func (l *listener) hear(ctx context.Context) {
	conn, err := pgx.ConnectConfig(ctx, l.config)
	if err != nil {
		return // the writer says so to whoever asks for something
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var name string
	if err := conn.QueryRow(ctx, "SELECT "+channel).Scan(&name); err != nil {
		return
	}
	if _, err := conn.Exec(ctx, "LISTEN "+pgx.Identifier{name}.Sanitize()); err != nil {
		return
	}
	l.watching.tellAll() // of what was missed
	for {
		notice, err := conn.WaitForNotification(ctx)
		if err != nil {
			return
		}
		var whose [][2]string
		if json.Unmarshal([]byte(notice.Payload), &whose) != nil {
			l.watching.tellAll()
			continue
		}
		happened := make([]eventScope, len(whose))
		for i, of := range whose {
			happened[i] = eventScope{of[0], of[1]}
		}
		l.watching.tell(happened)
	}
}
