package soak

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/bctrl-go/bctrl"
)

// What callers own: nobody else writes it, and each call is repeated under its idempotency key
// until it is answered. So a login has exactly the version that was acknowledged last, and a file
// exactly those bytes, whatever was killed in between.
const (
	ownLogins = 6
	ownFiles  = 5
	files     = "files" // their namespace
)

// logins are what a caller knows of its logins.
type logins struct {
	name    string
	numbers [ownLogins]int   // of what each holds; 0 is none
	version [ownLogins]int64 // as often as each was written since it was made
	next    int
}

func (l *logins) key(i int) string { return l.name + "/k" + strconv.Itoa(i) }

var sixDigits = regexp.MustCompile(`^[0-9]{6}$`)

// work writes a login or deletes it, reads it, and makes a code of it.
func (l *logins) work(ctx context.Context, c *caller) error {
	i := c.rng.IntN(ownLogins)
	if l.numbers[i] != 0 && c.rng.IntN(8) == 0 {
		if err := c.change(ctx, "delete a login",
			func(ctx context.Context, client *bctrl.Client, o ...bctrl.CallOption) error {
				return client.Vault.Delete(ctx, l.key(i), o...)
			}); err != nil {
			return err
		}
		l.numbers[i], l.version[i] = 0, 0
		return l.check(ctx, c, i)
	}
	l.next++
	n := l.next
	var version int64
	if err := c.change(ctx, "set a login", func(ctx context.Context, client *bctrl.Client, o ...bctrl.CallOption) error {
		e, err := client.Vault.Set(ctx, l.key(i), bctrl.VaultCredential{
			Username: strconv.Itoa(n),
			Password: bctrl.NewSecret(l.password(i, n)),
			TOTP:     bctrl.NewSecret("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"),
		}, o...)
		if err == nil {
			version = e.Version
		}
		return err
	}); err != nil {
		return err
	}
	l.numbers[i] = n
	l.version[i]++
	if version != l.version[i] {
		return fmt.Errorf("login %d was acknowledged as version %d, and is the %d. one", i, version, l.version[i])
	}
	if err := l.check(ctx, c, i); err != nil {
		return err
	}
	var made string
	if err := c.ask(ctx, "make a code",
		func(ctx context.Context, client *bctrl.Client, o ...bctrl.CallOption) (err error) {
			made, err = client.Vault.TOTP(ctx, l.key(i), o...)
			return err
		}); err != nil {
		return err
	}
	if !sixDigits.MatchString(made) {
		return errors.New("a code is none")
	}
	return nil
}

func (l *logins) password(i, n int) string { return l.key(i) + " " + strconv.Itoa(n) }

// check requires a login as it was acknowledged, of any node.
func (l *logins) check(ctx context.Context, c *caller, i int) error {
	var got *bctrl.VaultCredential
	err := c.ask(ctx, "read a login", func(ctx context.Context, client *bctrl.Client, o ...bctrl.CallOption) (err error) {
		got, err = client.Vault.Get(ctx, l.key(i), o...)
		return err
	})
	switch {
	case errors.Is(err, bctrl.ErrNotFound) && l.numbers[i] == 0:
		return nil
	case err != nil:
		return fmt.Errorf("login %d, of which %d was acknowledged: %w", i, l.numbers[i], err)
	case got.Username != strconv.Itoa(l.numbers[i]) || !got.Password.Equal(bctrl.NewSecret(l.password(i, l.numbers[i]))):
		return fmt.Errorf("login %d is number %s, acknowledged was %d", i, got.Username, l.numbers[i])
	}
	return nil
}

// checkAll requires all.
func (l *logins) checkAll(ctx context.Context, c *caller) error {
	for i := range l.numbers {
		if err := l.check(ctx, c, i); err != nil {
			return err
		}
	}
	return nil
}

// stored is what a caller knows of its files.
type stored struct {
	name    string
	numbers [ownFiles]int
	next    int
}

func (s *stored) path(i int) string { return s.name + "/f" + strconv.Itoa(i) }

// content is up to 300 KB, the same every time.
func (s *stored) content(i, n int) []byte {
	r := rand.New(rand.NewPCG(uint64(i), uint64(n)))
	text := make([]byte, r.IntN(1<<r.IntN(19)))
	for j := range text {
		text[j] = byte(r.Uint32())
	}
	return append([]byte(strconv.Itoa(n)+" "), text...)
}

func (s *stored) work(ctx context.Context, c *caller) error {
	i := c.rng.IntN(ownFiles)
	if s.numbers[i] != 0 && c.rng.IntN(6) == 0 {
		if err := c.change(ctx, "delete a file",
			func(ctx context.Context, client *bctrl.Client, o ...bctrl.CallOption) error {
				return client.Storage(files).Delete(ctx, s.path(i), o...)
			}); err != nil {
			return err
		}
		s.numbers[i] = 0
		return s.check(ctx, c, i)
	}
	s.next++
	n := s.next
	if err := c.change(ctx, "put a file", func(ctx context.Context, client *bctrl.Client, o ...bctrl.CallOption) error {
		var options []bctrl.UploadOption
		for _, one := range o {
			options = append(options, one)
		}
		ctx, done := context.WithTimeout(ctx, callTime)
		defer done()
		_, err := client.Storage(files).Upload(ctx, s.path(i), bytes.NewReader(s.content(i, n)), options...)
		return err
	}); err != nil {
		return err
	}
	s.numbers[i] = n
	return s.check(ctx, c, i)
}

func (s *stored) check(ctx context.Context, c *caller, i int) error {
	var got []byte
	err := c.ask(ctx, "get a file", func(ctx context.Context, client *bctrl.Client, o ...bctrl.CallOption) (err error) {
		ctx, done := context.WithTimeout(ctx, callTime)
		defer done()
		got, err = client.Storage(files).Get(ctx, s.path(i), o...)
		return err
	})
	switch {
	case errors.Is(err, bctrl.ErrNotFound) && s.numbers[i] == 0:
		return nil
	case err != nil:
		return fmt.Errorf("file %d, of which %d was acknowledged: %w", i, s.numbers[i], err)
	case !bytes.Equal(got, s.content(i, s.numbers[i])):
		number, _, _ := strings.Cut(string(got[:min(10, len(got))]), " ")
		return fmt.Errorf("file %d is number %q of %d bytes, acknowledged was %d", i, number, len(got), s.numbers[i])
	}
	return nil
}

func (s *stored) checkAll(ctx context.Context, c *caller) error {
	for i := range s.numbers {
		if err := s.check(ctx, c, i); err != nil {
			return err
		}
	}
	return nil
}

const (
	model     = "model" // the AI credential
	questions = "openai-compatible/chat-completions"
)

// invoke asks the model, once however often the call is repeated.
func invoke(ctx context.Context, c *caller) error {
	question := c.name + " " + strconv.Itoa(c.calls)
	var got *bctrl.InvokeResponse
	err := c.ask(ctx, "invoke", func(ctx context.Context, client *bctrl.Client, o ...bctrl.CallOption) (err error) {
		ctx, done := context.WithTimeout(ctx, callTime)
		defer done()
		got, err = client.Capabilities.Invoke(ctx, bctrl.Invocation{
			Capability: questions,
			Credential: model,
			Body: map[string]any{
				"model": "small", "messages": []map[string]string{{"role": "user", "content": question}},
			},
		}, o...)
		return err
	})
	e, refused := errors.AsType[*bctrl.Error](err)
	sent := c.provider.times(question)
	switch {
	case sent > 1:
		return fmt.Errorf("a call was sent %d times", sent)
	case refused && e.Code == "invoke.already_sent":
		return nil // by an attempt whose answer was lost
	case err != nil:
		return err
	case sent != 1 || !strings.Contains(string(got.Body), question):
		return fmt.Errorf("a call was answered with %d, and was sent %d times", got.Status, sent)
	}
	return nil
}

// keys makes an organization key, uses it, and revokes it: no node takes it from then on.
func keys(ctx context.Context, c *caller) error {
	var made struct {
		ID  string `json:"id"`
		Key string `json:"key"`
	}
	if err := c.change(ctx, "make a key", func(ctx context.Context, client *bctrl.Client, o ...bctrl.CallOption) error {
		return client.Do(ctx, "POST", []string{"v1", "keys"}, map[string]string{"label": c.name}, &made, o...)
	}); err != nil {
		return err
	}
	clients, closeAll, err := c.clientsOf(bctrl.NewSecret(made.Key))
	if err != nil {
		return err
	}
	defer closeAll()
	as := func(n *node) *bctrl.Client { return clients[n.i] }
	self := func(ctx context.Context, client *bctrl.Client, o ...bctrl.CallOption) error {
		_, err := client.Self(ctx, o...)
		return err
	}
	if err := c.askAs(ctx, "use a key", as, self); err != nil {
		return fmt.Errorf("a key that is good: %w", err)
	}
	if err := c.change(ctx, "revoke a key", func(ctx context.Context, client *bctrl.Client, o ...bctrl.CallOption) error {
		return client.Do(ctx, "DELETE", []string{"v1", "keys", made.ID}, nil, nil, o...)
	}); err != nil {
		return err
	}
	return c.requireRefused(ctx, "a revoked key", clients)
}

// clientsOf are clients of all nodes with another key.
func (m *machines) clientsOf(key bctrl.Secret) (clients []*bctrl.Client, closeAll func(), err error) {
	for _, n := range m.nodes {
		client, err := bctrl.New(bctrl.WithBaseURL("http://"+n.public), bctrl.WithAPIKey(key), bctrl.WithMaxRetries(0),
			bctrl.WithTimeout(callTime))
		if err != nil {
			return nil, nil, err
		}
		clients = append(clients, client)
	}
	return clients, func() {
		for _, c := range clients {
			c.CloseIdleConnections()
		}
	}, nil
}

// requireRefused requires that each node refuses who has a key now, or answers nothing.
func (c *caller) requireRefused(ctx context.Context, what string, clients []*bctrl.Client) error {
	for i, client := range clients {
		short, done := context.WithTimeout(ctx, 2*time.Second)
		_, err := client.Self(short)
		done()
		switch {
		case err == nil:
			return fmt.Errorf("node %d took %s after that was acknowledged", i+1, what)
		case ctx.Err() != nil || isTrouble(err):
		case !errors.Is(err, bctrl.ErrUnauthorized):
			return fmt.Errorf("node %d, asked by %s: %w", i+1, what, err)
		}
	}
	return nil
}
