package main

import (
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parleyhq/parley/store"
)

// onMongo are the fewest settings with a MongoDB.
var onMongo = []string{"--jwt-secret", testSecret, "--store", "mongodb://localhost/parley"}

func TestSettingsOfMongoDB(t *testing.T) {
	if set, err := parseServe(slices.Clone(onMongo), io.Discard); err != nil || set.mongodb != (store.MongoDBOptions{}) {
		t.Errorf("nothing is set: %+v, %v", set.mongodb, err)
	}
	want := store.MongoDBOptions{Timeout: time.Second, SelectionTimeout: 2 * time.Second, ConnectTimeout: 3 * time.Second, MaxPool: 20, MinPool: 20}
	set, err := parseServe(append(slices.Clone(onMongo), "--mongodb-timeout", "1s", "--mongodb-selection-timeout", "2s",
		"--mongodb-connect-timeout", "3s", "--mongodb-max-pool", "20", "--mongodb-min-pool", "20"), io.Discard)
	if err != nil || set.mongodb != want {
		t.Errorf("%+v, %v; want %+v", set.mongodb, err, want)
	}
	for args, says := range map[string]string{
		"--mongodb-timeout=-1s": "negative", "--mongodb-selection-timeout=-1ms": "negative", "--mongodb-connect-timeout=-1s": "negative",
		"--mongodb-max-pool=-1": "negative", "--mongodb-min-pool=-1": "negative",
		"--mongodb-min-pool=100": "", "--mongodb-min-pool=101": "at most", "--mongodb-max-pool=5 --mongodb-min-pool=6": "at most",
		"--store=pebble:data --mongodb-max-pool=5": "are for --store mongodb",
	} {
		_, err := parseServe(append(slices.Clone(onMongo), strings.Fields(args)...), io.Discard)
		if (says == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", args, err)
		}
	}
}
