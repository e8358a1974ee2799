using Grpo.Hub;
using Grpo.Models.Qwen;
using Grpo.Rewards;
using Grpo.Testing;
using Xunit;
using Xunit.Abstractions;

namespace Grpo.Fuzz.Tests;

public sealed class ArchitectureTests(ITestOutputHelper output)
{
    [Fact]
    public void Print()
    {
        foreach (Type t in new[] { typeof(GrpoOptimizer), typeof(HubClient), typeof(QwenPolicy), typeof(Gsm8kReward) })
        {
            var rooms = new CompiledRooms(t);
            output.WriteLine(rooms.Project + " " + rooms.Types.Count());
            foreach (var g in rooms.Edges().GroupBy(e => (e.From, e.To)).OrderBy(g => g.Key))
                output.WriteLine($"{g.Key.From} -> {g.Key.To}: " + string.Join(" ", g.Take(6).Select(e => e.User.Split('.')[^1] + ">" + e.Used.Split('.')[^1])));
            foreach (var (type, room) in rooms.Types)
            {
                string want = room == "." ? rooms.Project.Replace("Grpo.Core", "Grpo") : rooms.Project.Replace("Grpo.Core", "Grpo") + "." + room;
                if (type.Namespace != want) output.WriteLine($"NS {type.FullName} in {room} public={type.IsPublic}");
            }
        }
    }
}
