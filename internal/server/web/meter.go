package web

import "time"

// Meter is told what the server does, for who operates it. Its methods are called
// while callers wait, and at the same time.
type Meter interface {
	// Answered is told of each request of a route, which is a template; status is 0
	// where the caller left before an answer began.
	Answered(method, route string, status int, took time.Duration)
	// ProviderAnswered is told of each call to a provider, once its answer has ended;
	// status is 0 where there was none.
	ProviderAnswered(provider string, status int, took time.Duration)
}

// noMeter is told in vain.
type noMeter struct{}

func (noMeter) Answered(string, string, int, time.Duration) {}

func (noMeter) ProviderAnswered(string, int, time.Duration) {}
