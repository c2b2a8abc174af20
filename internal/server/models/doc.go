// Package models keeps AI credentials: the keys of makers of language models,
// and which of them the mounts of a runtime permit. Choosing one for a call, and
// the call, are of package calls.
package models
