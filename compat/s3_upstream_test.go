package compat

import (
	"bytes"
	"crypto/md5"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	bucket   = "reports"
	s3Host   = "s3." + awsRegion + ".amazonaws.com"
	s3Bucket = bucket + "." + s3Host
)

// newS3 is S3 with one bucket, addressed by path or by host.
func newS3(t testing.TB) *upstream {
	u := newUpstream(t, s3Host, s3Bucket)
	objects := map[string][]byte{}
	kept := map[string]http.Header{} // what was put with them
	u.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Amz-Request-Id", "REQ1")
		if err := signed(r, "s3"); err != nil {
			s3Error(w, http.StatusForbidden, "SignatureDoesNotMatch", err.Error())
			return
		}
		key := strings.TrimPrefix(r.URL.Path, "/")
		if r.Host != s3Bucket {
			key = strings.TrimPrefix(key, bucket+"/")
		}
		u.mu.Lock()
		defer u.mu.Unlock()
		content, there := objects[key]
		switch {
		case key == limited:
			s3Error(w, http.StatusServiceUnavailable, "SlowDown", "Please reduce your request rate.")
		case key == echo:
			s3Error(w, http.StatusBadRequest, "Echo", awsKey+" "+awsSession)
		case r.Method == http.MethodPut && r.ContentLength < 0:
			s3Error(w, http.StatusLengthRequired, "MissingContentLength", "You must provide the Content-Length HTTP header.")
		case r.Method == http.MethodPut:
			content, err := io.ReadAll(r.Body)
			if err != nil {
				return // the caller has gone
			}
			objects[key], kept[key] = content, http.Header{}
			for _, name := range []string{"Content-Encoding", "Cache-Control", "Content-Type"} {
				if value := strings.TrimSuffix(r.Header.Get(name), "aws-chunked"); value != "" {
					kept[key].Set(name, strings.TrimSuffix(value, ","))
				}
			}
			w.Header().Set("ETag", etag(content))
		case r.Method == http.MethodDelete:
			delete(objects, key)
			w.WriteHeader(http.StatusNoContent)
		case r.Method == http.MethodGet && r.URL.Query().Get("list-type") == "2":
			listObjects(w, objects, r.URL.Query().Get("prefix"))
		case !there:
			s3Error(w, http.StatusNotFound, "NoSuchKey", "The specified key does not exist.")
		default:
			w.Header().Set("ETag", etag(content))
			w.Header().Set("X-Amz-Meta-Kind", "report")
			maps.Copy(w.Header(), kept[key])
			if r.Header.Get("Range") == "" {
				w.Header().Set("Content-Length", strconv.Itoa(len(content)))
			}
			http.ServeContent(w, r, "x.bin", time.Unix(1760000000, 0), bytes.NewReader(content))
		}
	})
	return u
}

func etag(content []byte) string { return fmt.Sprintf(`"%x"`, md5.Sum(content)) }

func s3Error(w http.ResponseWriter, status int, code, text string) {
	type failure struct {
		XMLName   xml.Name `xml:"Error"`
		Code      string
		Message   string
		RequestID string `xml:"RequestId"`
	}
	answerXML(w, status, failure{Code: code, Message: text, RequestID: "REQ1"})
}

func listObjects(w http.ResponseWriter, objects map[string][]byte, prefix string) {
	type object struct {
		Key, ETag, LastModified string
		Size                    int
	}
	type result struct {
		XMLName  xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListBucketResult"`
		Name     string
		KeyCount int
		Contents []object
	}
	out := result{Name: bucket}
	for key, content := range objects {
		if strings.HasPrefix(key, prefix) {
			out.Contents = append(out.Contents, object{
				Key:          key,
				ETag:         etag(content),
				LastModified: "2025-10-09T08:53:20.000Z",
				Size:         len(content),
			})
		}
	}
	out.KeyCount = len(out.Contents)
	answerXML(w, http.StatusOK, out)
}

func answerXML(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, xml.Header) // the caller has gone: there is nobody to tell
	_ = xml.NewEncoder(w).Encode(body)
}
