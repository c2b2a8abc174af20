package server

import (
	"context"

	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/server/web"
)

func (s *Server) healthRoutes() []web.Route {
	return []web.Route{
		web.Endpoint("GET /healthz", access.Public, s.healthz),
		web.Endpoint("GET /readyz", access.Public, s.readyz),
	}
}

type health struct {
	Status string        `json:"status"`
	Warm   *warmBrowsers `json:"warmBrowsers,omitempty"`
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

// readyz says that the store answers too, and whether the server is locked: it
// still answers then, and has to be reached to be unlocked. It does not wait for the
// browsers that are kept ready, without which runtimes only start later, and says how
// many there are.
func (s *Server) readyz(ctx context.Context, _ *web.Request, _ web.None) (health, error) {
	if _, err := s.DB.Read().HasOrganizations(ctx); err != nil {
		return health{}, err
	}
	out := health{Status: "ok"}
	if s.Custody.Locked() {
		out.Status = "locked"
	}
	if s.warm != nil {
		if ready, want := s.warm(); want > 0 {
			out.Warm = &warmBrowsers{Ready: ready, Wanted: want}
		}
	}
	return out, nil
}
