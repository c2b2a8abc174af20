package server

import (
	"context"

	"github.com/bctrl-go/bctrl/internal/access"
)

func (s *Server) healthRoutes() []route {
	return []route{
		endpoint("GET /healthz", access.Public, s.healthz),
		endpoint("GET /readyz", access.Public, s.readyz),
	}
}

type health struct {
	Status string `json:"status"`
}

// healthz says that the process answers.
func (s *Server) healthz(context.Context, *request, none) (health, error) {
	return health{"ok"}, nil
}

// readyz says that the store answers too, and whether the server is locked: it
// still answers then, and has to be reached to be unlocked.
func (s *Server) readyz(ctx context.Context, _ *request, _ none) (health, error) {
	if _, err := s.db.Read().HasOrganizations(ctx); err != nil {
		return health{}, err
	}
	if s.custody.Locked() {
		return health{"locked"}, nil
	}
	return health{"ok"}, nil
}
