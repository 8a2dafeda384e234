//go:build !windows

package main

import (
	"reflect"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/chowk-chat/chowk/internal/metric"
)

// discard returns metrics that count nothing, as the baseline for the cost of counting.
func discard() *metric.Metrics {
	m := metric.New()
	groups := reflect.ValueOf(m).Elem()
	for i := range groups.NumField() {
		if group := groups.Field(i); group.Kind() == reflect.Pointer && group.Type() != reflect.TypeOf(m.Registry) {
			discardGroup(group.Elem())
		}
	}
	return m
}

// discardGroup replaces every metric of a group, and those of the groups in it.
func discardGroup(group reflect.Value) {
	for i := range group.NumField() {
		field := group.Field(i)
		if !field.CanSet() {
			continue
		}
		if field.Kind() == reflect.Pointer && field.Elem().Kind() == reflect.Struct {
			discardGroup(field.Elem())
			continue
		}
		switch metric := field.Addr().Interface().(type) {
		case *prometheus.Counter:
			*metric = noCounter{}
		case *prometheus.Gauge:
			*metric = noGauge{}
		case *prometheus.Histogram:
			*metric = noHistogram{}
		default:
			discardVector(metric)
		}
	}
}

func discardVector(vector any) {
	switch vector := vector.(type) {
	case *metric.Counters:
		*vector = noCounters{}
	case *metric.Gauges:
		*vector = noGauges{}
	case *metric.Histograms:
		*vector = noHistograms{}
	}
}

type (
	noCounter    struct{ prometheus.Counter }
	noGauge      struct{ prometheus.Gauge }
	noHistogram  struct{ prometheus.Histogram }
	noCounters   struct{}
	noGauges     struct{}
	noHistograms struct{}
)

func (noCounter) Inc()              {}
func (noCounter) Add(float64)       {}
func (noGauge) Set(float64)         {}
func (noGauge) Inc()                {}
func (noGauge) Dec()                {}
func (noGauge) Add(float64)         {}
func (noGauge) Sub(float64)         {}
func (noHistogram) Observe(float64) {}

func (noCounters) WithLabelValues(...string) prometheus.Counter    { return noCounter{} }
func (noGauges) WithLabelValues(...string) prometheus.Gauge        { return noGauge{} }
func (noHistograms) WithLabelValues(...string) prometheus.Observer { return noHistogram{} }
