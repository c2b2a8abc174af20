package broker

import (
	"slices"
	"strings"
)

// ruleHeaders would make the provider, or something before it, take the request
// for another one than was checked: of another host, method or path.
var ruleHeaders = []string{
	"host", "x-host", "x-http-method", "x-method", "x-http-path", "x-path", "x-uri", "x-url", "x-request-uri",
	"x-request-url", "x-proxy-url", "x-proxy-host", "request-uri", "request-url", "base-url", "uri", "url",
	"http-url", "http-uri", "path", "method", "proxy-url", "proxy-host", "x-replaced-path", "x-waws-unencoded-url",
	"x-accel-redirect", "x-sendfile",
}

// ruleWords are in the names of such headers.
var ruleWords = []string{
	"method-override", "path-override", "url-override", "uri-override", "host-override", "override-method",
	"override-path", "override-url", "override-uri", "override-host", "original-url", "original-uri", "original-path",
	"original-host", "original-method", "rewrite-url", "rewrite-uri", "rewrite-path", "rewritten-url",
	"rewritten-uri",
}

// changesRequest reports whether a header, in lower case, is one of those.
func changesRequest(lower string) bool {
	return slices.Contains(ruleHeaders, lower) || holdsWord(lower, ruleWords)
}

// sourceWords are in the names of headers by which a request reads or writes
// something else than its path names: what is copied from, linked to, composed
// of, moved to.
var sourceWords = []string{
	"copy-source", "rename-source", "move-source", "link-source", "fetch-source", "copy-from", "move-from", "copy-to",
	"copy-target", "symlink-target", "link-target", "object-manifest", "compose-source",
}

// NamesAnother reports whether a header names something besides what the path
// of its request names, which a capability for some paths does not cover: those
// of S3 and its kin, of Azure, Swift and WebDAV.
func NamesAnother(name string) bool {
	lower := hyphened(name)
	switch {
	case lower == "destination", strings.HasSuffix(lower, "-callback"), strings.HasSuffix(lower, "-callback-url"):
		return true
	case strings.HasPrefix(lower, "x-ms-source"):
		return !strings.HasPrefix(lower, "x-ms-source-if-") && lower != "x-ms-source-content-md5" &&
			lower != "x-ms-source-content-crc64"
	}
	return holdsWord(lower, sourceWords)
}

func holdsWord(lower string, words []string) bool {
	return slices.ContainsFunc(words, func(word string) bool { return strings.Contains(lower, word) })
}

// changesProtocol reports whether a header, in lower case, asks for another
// protocol: a websocket, or anything else. One that offers HTTP/2 in clear text
// does not: its request is complete, and is answered over HTTP/1.1 (RFC 9110 §7.8).
func changesProtocol(lower string, values []string) bool {
	switch {
	case lower == "upgrade":
		return slices.ContainsFunc(values, func(v string) bool { return !strings.EqualFold(strings.TrimSpace(v), "h2c") })
	case strings.HasPrefix(lower, "sec-websocket-"):
		return true
	}
	return false
}
