package server

import (
	"context"
	"net/http"

	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/server/web"
)

func (s *Server) healthRoutes() []web.Route {
	return []web.Route{
		web.Endpoint("GET /healthz", access.Public, s.healthz),
		web.Raw("GET /readyz", access.Public, s.readyz),
	}
}

type health struct {
	Status  string        `json:"status"`
	Missing []missingPart `json:"missing,omitempty"`
	Warm    *warmBrowsers `json:"warmBrowsers,omitempty"`
}

// warmBrowsers says how many browsers wait for runtimes, and how many should.
type warmBrowsers struct {
	Ready  int `json:"ready"`
	Wanted int `json:"wanted"`
}

// healthz says that the process answers.
func (s *Server) healthz(context.Context, *web.Request, web.None) (health, error) {
	return health{Status: "ok"}, nil
}

// readyz says what is missing of what the server works with. Its status is 503 where the server answers nothing
// without it. A locked server still answers, and has to be reached to be unlocked; without a bucket or a browser
// it does all that needs none. It does not wait for the browsers that are kept ready, without which runtimes only start
// later, and says how many there are.
func (s *Server) readyz(w http.ResponseWriter, rq *web.Request) error {
	out, status := s.readiness(rq.Context())
	if s.warm != nil {
		if ready, want := s.warm(); want > 0 {
			out.Warm = &warmBrowsers{Ready: ready, Wanted: want}
		}
	}
	body, err := web.EncodeAnswer(out)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		w.Header().Set("Retry-After", "1")
	}
	web.WriteJSON(w, status, body)
	return nil
}
