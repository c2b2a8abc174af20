package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// session is a session of WebDriver, as the W3C has it. Selenium's clients do the same
// with the address: POST {address}/session, then commands below it.
type session struct {
	http    *http.Client
	address *url.URL
}

// newSession makes a session at an address of [bctrl.Runtime.ConnectURL].
func newSession(ctx context.Context, address string) (*session, error) {
	base, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("the address is no URL") // it holds a token
	}
	var made struct {
		SessionID string `json:"sessionId"`
	}
	asked := map[string]any{"capabilities": map[string]any{"alwaysMatch": map[string]any{"browserName": "chrome"}}}
	s := &session{&http.Client{Transport: &http.Transport{}, Timeout: time.Minute}, base}
	if err := s.ask(ctx, http.MethodPost, []string{"session"}, asked, &made); err != nil {
		return nil, err
	}
	s.address = base.JoinPath("session", made.SessionID)
	return s, nil
}

func (s *session) open(ctx context.Context, page string) error {
	return s.ask(ctx, http.MethodPost, []string{"url"}, map[string]string{"url": page}, nil)
}

func (s *session) title(ctx context.Context) (title string, err error) {
	return title, s.ask(ctx, http.MethodGet, []string{"title"}, nil, &title)
}

// text is the text of the first element that a selector of CSS finds.
func (s *session) text(ctx context.Context, css string) (text string, err error) {
	found := map[string]string{} // one entry: what WebDriver calls an element, and the element
	by := map[string]string{"using": "css selector", "value": css}
	if err := s.ask(ctx, http.MethodPost, []string{"element"}, by, &found); err != nil {
		return "", err
	}
	for _, element := range found {
		err = s.ask(ctx, http.MethodGet, []string{"element", element, "text"}, nil, &text)
	}
	return text, err
}

func (s *session) quit(ctx context.Context) error {
	defer s.http.CloseIdleConnections()
	return s.ask(ctx, http.MethodDelete, nil, nil, nil)
}

// ask sends one command, and decodes what it returns into out.
func (s *session) ask(ctx context.Context, method string, command []string, in, out any) error {
	var body bytes.Buffer
	if in != nil {
		if err := json.NewEncoder(&body).Encode(in); err != nil {
			return err
		}
	}
	rq, err := http.NewRequestWithContext(ctx, method, s.address.JoinPath(command...).String(), &body)
	if err != nil {
		return errors.New("the command is none")
	}
	rs, err := s.http.Do(rq)
	if err != nil {
		return errors.Unwrap(err) // without the address
	}
	defer rs.Body.Close()
	var answer struct{ Value json.RawMessage }
	if err := json.NewDecoder(rs.Body).Decode(&answer); err != nil {
		return err
	}
	if rs.StatusCode != http.StatusOK {
		var refused struct{ Error, Message string }
		if err := json.Unmarshal(answer.Value, &refused); err != nil {
			return err
		}
		return fmt.Errorf("%s: %s", refused.Error, refused.Message)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(answer.Value, out)
}
