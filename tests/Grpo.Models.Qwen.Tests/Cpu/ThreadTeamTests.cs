using Grpo.Models.Qwen.Cpu;

namespace Grpo.Models.Qwen.Tests;

public sealed class ThreadTeamTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(5)]
    public void Run_does_every_block_of_every_piece_once_and_is_done_when_it_returns(int members)
    {
        using var team = new ThreadTeam(members);
        for (int section = 0; section < 50; section++)
        {
            team.BeginSection();
            for (int piece = 0; piece < 40; piece++)
            {
                int[] done = new int[piece % 13];
                team.Run(done.Length, (block, member) =>
                {
                    Assert.InRange(member, 0, members - 1);
                    Interlocked.Increment(ref done[block]);
                });
                Assert.All(done, times => Assert.Equal(1, times));
            }

            team.EndSection();
        }
    }

    [Fact]
    public void Run_throws_what_a_block_threw_and_goes_on_with_the_next_piece()
    {
        using var team = new ThreadTeam(3);
        team.BeginSection();
        Assert.Throws<InvalidDataException>(() => team.Run(20, (block, _) =>
        {
            if (block == 7)
            {
                throw new InvalidDataException();
            }
        }));
        int sum = 0;
        team.Run(5, (block, _) => Interlocked.Add(ref sum, block));
        Assert.Equal(0 + 1 + 2 + 3 + 4, sum);
    }

    [Fact]
    public void Run_needs_no_section_for_its_result()
    {
        using var team = new ThreadTeam(4);
        int sum = 0;
        team.Run(10, (block, _) => Interlocked.Add(ref sum, block));
        Assert.Equal(45, sum);
    }
}
