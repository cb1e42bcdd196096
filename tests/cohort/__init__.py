"""A cohort on real code: many animals on many rigs with one library, for days, with all that goes wrong.

Read it in this order:

- `plan`: what is to happen, day by day, drawn from a seed: who runs where and when, and what goes wrong.
- `rig`: one rig. Every session is a process of the real launcher, which sees this rig's clock (`shifted`); it can be
  killed, its library unplugged, and its task kept waiting until the simulation lets it begin (`held_task`).
- `book`: the simulation's own book. It knows one rule: an animal stands where the session that began last put it, of
  those that decided, or where a person put it since.
- `simulation`: carries out the plan. `keeper` enters into the book what happened, and notes down where the launcher
  does something else than it must; `left_behind` is how a session is found after a kill.
- `audit` and `today`: compare the book, day by day, with all that the launcher says: library, register, history,
  journals, commands.
- `__main__`: `python3 noxfile.py cohort`.
"""
