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
	Status string `json:"status"`
}

// healthz says that the process answers.
func (s *Server) healthz(context.Context, *web.Request, web.None) (health, error) {
	return health{"ok"}, nil
}

// readyz says that the store answers too, and whether the server is locked: it
// still answers then, and has to be reached to be unlocked.
func (s *Server) readyz(ctx context.Context, _ *web.Request, _ web.None) (health, error) {
	if _, err := s.DB.Read().HasOrganizations(ctx); err != nil {
		return health{}, err
	}
	if s.Custody.Locked() {
		return health{"locked"}, nil
	}
	return health{"ok"}, nil
}
