package bctrltest

import (
	"crypto/rand"
	"io"
	"log"
	"net/http/httptest"
	"testing"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
)

// scriptedModel is a provider on a loopback port.
type scriptedModel struct {
	model *modeltest.Model
	url   string
	key   bctrl.Secret
}

func newScriptedModel(t testing.TB, script modeltest.Script, forms []modeltest.Form) *scriptedModel {
	t.Helper()
	key := bctrl.NewSecret("sk-test-" + rand.Text())
	m, err := modeltest.New(modeltest.Config{Key: key, Script: script, Forms: forms})
	if err != nil {
		t.Fatalf("bctrltest: %v", err)
	}
	srv := httptest.NewUnstartedServer(m)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.Start()
	t.Cleanup(srv.Close)
	return &scriptedModel{model: m, url: srv.URL + "/v1", key: key}
}

// ModelCredential returns what creates an AI credential for the scripted model
// of [WithModel] under the id, as an OpenAI provider. The test fails when there
// is no such model.
func (s *Server) ModelCredential(id string) bctrl.AICredentialCreate {
	s.t.Helper()
	if s.model == nil {
		s.t.Fatal("bctrltest: ModelCredential needs WithModel")
	}
	return bctrl.AICredentialCreate{
		ID:           id,
		Provider:     bctrl.OpenAI,
		Label:        "scripted",
		APIKey:       s.model.key,
		BaseURL:      s.model.url,
		DefaultModel: modeltest.DefaultModel,
	}
}

// Model returns the scripted model of [WithModel], to see what it was sent or
// to let it fail; nil without one.
func (s *Server) Model() *modeltest.Model {
	if s.model == nil {
		return nil
	}
	return s.model.model
}
