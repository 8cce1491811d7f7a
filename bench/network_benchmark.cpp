// Attention layers, transformer layers and whole networks: rows A17, A18, E1, E2 and FM of the table.
#include "row_benchmark.hpp"
#include "rows/network.hpp"

int main(int argc, char** argv) { return bench::run(argc, argv, bench::network_rows()); }
