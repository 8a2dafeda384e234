// Package report presents what a load test measured: as a table for terminals, as JSON,
// and as a self-contained page with plots.
package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// Report is the result of one run.
type Report struct {
	Title   string    `json:"title"`
	What    string    `json:"what"`
	Target  string    `json:"target"`
	Started time.Time `json:"started"`
	// Interrupted means that the run was ended early.
	Interrupted bool      `json:"interrupted"`
	Machine     string    `json:"machine"`
	Settings    []Setting `json:"settings"`
	// Findings are sentences about problems, the worst first.
	Findings []string `json:"findings"`
	Phases   []Phase  `json:"phases"`
	// Server is the server's own account of the run; nil if it was not polled.
	Server *Server `json:"server,omitempty"`
	Points []Point `json:"points"`
}

// Setting is one setting of the run.
type Setting struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Phase is the result of one part of the run.
type Phase struct {
	Name    string           `json:"name"`
	Seconds float64          `json:"seconds"`
	Counts  map[string]int64 `json:"counts"`
	// Codes count refusals and closes by their codes.
	Codes     map[string]int64   `json:"codes,omitempty"`
	Latencies map[string]Latency `json:"latencies,omitempty"`
}

// Latency is a distribution in milliseconds.
type Latency struct {
	Count int64   `json:"count"`
	Mean  float64 `json:"mean_ms"`
	P50   float64 `json:"p50_ms"`
	P90   float64 `json:"p90_ms"`
	P99   float64 `json:"p99_ms"`
	P999  float64 `json:"p999_ms"`
	Max   float64 `json:"max_ms"`
}

// Point is one moment of the run.
type Point struct {
	At     float64            `json:"at_s"` // seconds since the start, at its end
	Phase  string             `json:"phase"`
	Open   int64              `json:"open"`
	Usable int64              `json:"usable"`
	Rates  map[string]float64 `json:"per_second"`
	P50    map[string]float64 `json:"p50_ms,omitempty"`
	P99    map[string]float64 `json:"p99_ms,omitempty"`
}

// Server is what the server's process used during the load, from its metrics.
type Server struct {
	CPUSeconds  float64 `json:"cpu_seconds"`
	MemoryStart float64 `json:"resident_bytes_before"`
	MemoryMost  float64 `json:"resident_bytes_most"`
	// PerSocket is the growth from no sockets to all of them, per socket.
	PerSocket  float64 `json:"resident_bytes_per_socket"`
	Goroutines float64 `json:"goroutines_most"`
}

// WriteJSON writes v as indented JSON.
func WriteJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// WriteFiles writes v as JSON and as a page, each to a file unless its name is empty.
func WriteFiles(v any, jsonFile, htmlFile string, page func(io.Writer) error) error {
	return errors.Join(
		WriteFile(jsonFile, func(w io.Writer) error { return WriteJSON(w, v) }),
		WriteFile(htmlFile, page))
}

// WriteFile writes a file, unless its name is empty.
func WriteFile(name string, write func(io.Writer) error) error {
	if name == "" {
		return nil
	}
	f, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return errors.Join(write(f), f.Close())
}
