#pragma once
#include <attend/core/threads.hpp>

#include <chrono>
#include <iostream>
#include <map>
#include <sstream>

#include "limit.hpp"

namespace bench {

/// Seconds per call over about `milliseconds`. A call that is short goes once before the clock starts: what ran in
/// between has taken the caches.
inline double seconds_per_call(const Work& work, double milliseconds) {
  using Clock = std::chrono::steady_clock;
  const auto since = [](Clock::time_point from) { return std::chrono::duration<double>(Clock::now() - from).count(); };
  const auto start = Clock::now();
  work.call();
  const double first = since(start);
  if (first * 1e3 >= milliseconds) return first;
  const auto from = Clock::now();
  int calls = 0;
  do work.call(), ++calls;
  while (since(from) * 1e3 < milliseconds);
  return since(from) / calls;
}

/// Answers requests on standard input, one line each, until it ends:
///
///     rows                            a line for each row (id, what, bound, operations, bytes; tabs between), then "end"
///     ID threads N milliseconds M     seconds per call
///     ID limit threads N              name of what bounds the row, its rate, and what a call asks of it
///     ID write FILE                   checks the row, writes inputs and results as safetensors, and answers "ok"
///     ID forget                       lets the row's memory go, and answers "ok"
///
/// A row that was asked for stays prepared. Whatever fails is answered "error TEXT".
inline int serve(const Rows& rows) {
  std::map<std::string, Work> prepared;
  std::cout.precision(9);
  for (std::string line; std::getline(std::cin, line);) try {
      std::istringstream words(line);
      std::string id, verb, unit;
      words >> id >> verb;
      if (id == "rows") {
        for (const Row& row : rows)
          std::cout << row.id << '\t' << row.what << '\t'
                    << (row.bound == Bound::products  ? "products"
                        : row.bound == Bound::reading ? "reading"
                                                      : "copying")
                    << '\t' << row.operations << '\t' << row.bytes << '\n';
        std::cout << "end" << std::endl;
        continue;
      }
      const auto row = std::find_if(rows.begin(), rows.end(), [&](const Row& r) { return r.id == id; });
      require<OptionError>(row != rows.end(), "serve", [&] { return "there is no row " + id; });
      int threads = 1;
      double milliseconds = 0;
      if (verb == "limit") {
        words >> unit >> threads;
        const Limit limit = limit_of(*row, threads);
        std::cout << limit.name << ' ' << limit.rate << ' ' << limit.work << std::endl;
        continue;
      }
      if (verb == "forget") {
        prepared.erase(id);
        std::cout << "ok" << std::endl;
        continue;
      }
      if (prepared.count(id) == 0) prepared[id] = row->prepare();
      const Work& work = prepared[id];
      if (verb == "write") {
        std::string path;
        std::getline(words >> std::ws, path);
        work.call();
        const double error = work.error();
        require<OptionError>(error <= row->tolerance, "serve", [&] {
          return id + " differs from its reference by " + std::to_string(error) + ", more than " +
                 std::to_string(row->tolerance);
        });
        SafetensorsWriter file;
        work.write(file);
        file.write(path);
        std::cout << "ok" << std::endl;
      } else {
        words >> threads >> unit >> milliseconds;
        require<OptionError>(verb == "threads" && unit == "milliseconds" && words, "serve",
                             [&] { return "cannot read " + line; });
        set_num_threads(threads);
        std::cout << seconds_per_call(work, milliseconds) << std::endl;
      }
    } catch (const std::exception& e) {
      std::cout << "error " << e.what() << std::endl;
    }
  return 0;
}

}  // namespace bench
