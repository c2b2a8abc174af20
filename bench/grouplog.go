package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
)

// groupLogSize is how long the file of a log is: some 200,000 lines.
const groupLogSize = 64 << 20

// groupLog is a log of lines of JSON, each chained to the one before by a hash. Who appends waits
// until the line is durable; all who wait share one write and one sync.
type groupLog struct {
	waiting chan pendingLine
	file    *os.File
	// at is where the next line goes, and last the hash of the one before.
	at   int64
	last [sha256.Size]byte
}

// pendingLine is a JSON object that is not in the log yet.
type pendingLine struct {
	object []byte
	done   chan error
}

// openGroupLog makes a log in a file that has its whole length before the first line, so that no
// sync has to write down a new one. It ends when waiting is closed.
func openGroupLog(path string) (*groupLog, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	zeros := make([]byte, 1<<20)
	for range groupLogSize / len(zeros) {
		if _, err = f.Write(zeros); err != nil {
			break
		}
	}
	if err = errors.Join(err, f.Sync()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	l := &groupLog{file: f, waiting: make(chan pendingLine, 1024)}
	go l.run()
	return l, nil
}

// append returns once the object is durable, with its hash as one more field.
func (l *groupLog) append(object []byte) error {
	line := pendingLine{object: object, done: make(chan error, 1)}
	l.waiting <- line
	return <-line.done
}

func (l *groupLog) run() {
	defer l.file.Close()
	var group []pendingLine
	var text []byte
	for first := range l.waiting {
		group = append(group[:0], first)
		for range len(l.waiting) {
			group = append(group, <-l.waiting)
		}
		text = text[:0]
		for _, line := range group {
			text = l.chain(text, line.object)
		}
		err := l.write(text)
		for _, line := range group {
			line.done <- err
		}
	}
}

// chain adds a line to text.
func (l *groupLog) chain(text, object []byte) []byte {
	h := sha256.New()
	h.Write(l.last[:])
	h.Write(object)
	h.Sum(l.last[:0])
	text = append(text, object[:len(object)-1]...)
	text = append(text, `,"hash":"`...)
	text = hex.AppendEncode(text, l.last[:])
	return append(text, "\"}\n"...)
}

// write makes text durable. At the end of the file, where a store would go on in another, it
// writes over the beginning.
func (l *groupLog) write(text []byte) error {
	if l.at+int64(len(text)) > groupLogSize {
		l.at = 0
	}
	if _, err := l.file.WriteAt(text, l.at); err != nil {
		return fmt.Errorf("appending to the log: %w", err)
	}
	l.at += int64(len(text))
	return dataSync(l.file)
}
