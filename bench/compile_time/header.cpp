#include <attend/attend.hpp>
